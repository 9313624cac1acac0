"""Tables against accounts."""

import pytest
from m0_indexer.reconcile import Reconciler
from m0chain import accounts, idl
from m0chain.accounts import EpochStatus, MarketState
from m0common.ids import market_key
from m0common.messages import RegistryMarket
from m0common.topics import REGISTRY
from m0index.events import entity
from solders.pubkey import Pubkey

pytestmark = pytest.mark.postgres
SPLIT = [500_000_000, 300_000_000, 200_000_000]


def market_account(market_id, state=MarketState.ACTIVE, resolution=None):
    return accounts.Market(
        version=1, bump=1, market_key=market_key(market_id), catalog="sports", state=state, outcome_count=3,
        resolved=resolution is not None, resolution=resolution or 0, schema_version=1, opens_ms=1_000,
        resolves_after_ms=2_000, resolved_ms=3_000, evidence_hash=bytes(32), created_slot=1, market_id=market_id,
        group="EPL", title=f"Title of {market_id}", outcomes=["home", "draw", "away"],
    )  # fmt: skip


def epoch_account(bundle, status=EpochStatus.FINALIZED, mask=0b11):
    header = bundle.header
    from m0common.canonical import BundleHeader

    header = BundleHeader.decode(header)
    return accounts.Epoch(
        version=1, bump=1, catalog="sports", epoch_id=header.epoch_id, status=status, signer_set_id=1, count=3,
        threshold=2, opener=Pubkey.default(), window_start_ms=header.window_start_ms,
        window_end_ms=header.window_end_ms, commit_deadline_ms=header.window_end_ms + 1,
        reveal_deadline_ms=header.window_end_ms + 2, committed=mask, revealed=mask,
        finalized_tally=0 if status is EpochStatus.FINALIZED else accounts.NO_TALLY, finalized_slot=99,
        commitments=[bytes(32)] * 3,
        tallies=[accounts.Tally(header.bundle_hash, header.merkle_root, header.leaf_count, mask)],
    )  # fmt: skip


@pytest.fixture
def reconciler(bench):
    return Reconciler(bench.scene.programs, bench.chain, bench.pool, bench.clock)


async def test_tables_that_agree_are_left_alone(bench, reconciler):
    bench.scene.set_up()
    bench.scene.market("A")
    bundle = bench.scene.bundle(7, {"A": SPLIT})
    bench.scene.whole_epoch(bundle)
    bench.chain.finalize()
    await bench.index()
    bench.chain.market_accounts = [market_account("A")]
    bench.chain.epoch_accounts = [epoch_account(bundle)]
    assert await reconciler.once() == []
    assert reconciler.suspects == frozenset()


async def test_a_difference_counts_the_second_time_and_is_then_corrected_and_published(bench, reconciler):
    bench.scene.market("A")
    bench.chain.finalize()
    await bench.index()
    bench.chain.market_accounts = [market_account("A", MarketState.DEPRECATED, 2), market_account("MISSED")]
    assert await reconciler.once() == []
    assert len(await reconciler.once()) == 2
    rows = await bench.rows("SELECT market_id, state, resolution, commitment FROM markets ORDER BY market_id")
    assert [tuple(row.values()) for row in rows] == [
        ("A", "DEPRECATED", 2, "finalized"),
        ("MISSED", "ACTIVE", None, "finalized"),
    ]
    assert await reconciler.once() == []
    await bench.publish()
    sent = bench.sent(REGISTRY.name, RegistryMarket, 1)
    assert [(m.market_id, m.state) for m in sent[1:]] == [("A", "DEPRECATED"), ("MISSED", "ACTIVE")]


async def test_events_after_a_correction_go_on_from_it(bench, reconciler):
    bench.chain.market_accounts = [market_account("MISSED")]
    await reconciler.once()
    await reconciler.once()
    bench.scene.state("MISSED", 1, 2)
    await bench.index()
    assert [r["state"] for r in await bench.rows("SELECT state FROM markets")] == ["PAUSED"]


async def test_a_row_that_is_not_final_yet_is_not_judged(bench, reconciler):
    bench.scene.market("A")
    bench.chain.finalize()
    bench.scene.state("A", 1, 2)
    await bench.index()
    bench.chain.market_accounts = [market_account("A")]
    for _ in range(3):
        assert await reconciler.once() == []


async def test_an_epoch_whose_events_were_lost_is_taken_from_its_account(bench, reconciler):
    bench.scene.set_up()
    bundle = bench.scene.bundle(7, {"A": SPLIT})
    bench.chain.finalize()
    await bench.index()
    bench.chain.epoch_accounts = [epoch_account(bundle)]
    await reconciler.once()
    await reconciler.once()
    (row,) = await bench.rows("SELECT status, settled, bundle_hash, finalized_slot FROM epochs")
    assert tuple(row.values()) == ("finalized", True, bench.scene.hash_of(bundle), 99)
    signers = await bench.rows("SELECT revealed FROM epoch_signers WHERE revealed")
    assert len(signers) == 2


async def test_more_than_is_asked_for_at_once_is_asked_for_in_parts_and_nothing_is_left_out(bench, reconciler):
    for name in ("A", "B", "C"):
        bench.scene.market(name)
    bench.chain.finalize()
    await bench.index()
    bench.chain.market_accounts = [market_account(name) for name in ("A", "B", "MISSED")]
    bench.chain.market_accounts.append(market_account("C", MarketState.DEPRECATED, 2))
    reconciler.at_once, reconciler.pace_s = 2, 0.0
    assert await reconciler.once() == []
    assert await reconciler.once() == sorted(entity(each) for each in bench.chain.market_accounts[2:])
    assert bench.chain.asked == 2 * [bytes([byte]) for byte in range(256)]
    assert bench.chain.whole == 2 * 2, "what agrees is not fetched"


async def test_epochs_are_asked_for_in_parts_too(bench, reconciler):
    bench.scene.set_up()
    bundles = [bench.scene.bundle(number, {"A": SPLIT}) for number in (7, 8, 7 + 256)]
    bench.chain.finalize()
    await bench.index()
    bench.chain.epoch_accounts = [epoch_account(bundle) for bundle in bundles]
    reconciler.at_once, reconciler.pace_s = 0, 0.0
    await reconciler.once()
    assert len(await reconciler.once()) == 3
    rows = await bench.rows("SELECT epoch_id FROM epochs ORDER BY epoch_id")
    assert [row["epoch_id"] for row in rows] == [7, 8, 263]


def test_the_accounts_of_these_tests_have_the_fields_of_the_programs():
    assert set(idl.registry().fields("Market")) == set(market_account("A").__struct_fields__)
    assert set(idl.oracle().fields("Epoch")) == set(accounts.Epoch.__struct_fields__)
