"""The chain's history into tables: order, commitment, forks, restarts."""

import pytest
from index_scene import event_line
from m0_indexer import metrics
from m0chain import idl
from m0common.errors import Unavailable
from m0common.ids import market_key
from m0common.messages import RegistryMarket
from m0common.store import postgres
from m0common.topics import REGISTRY
from m0index.tables import history
from m0index.tables.history import Cursor

pytestmark = pytest.mark.postgres
MARKET = "EPL_1"
SPLIT = [500_000_000, 300_000_000, 200_000_000]


async def the_epoch(bench):
    return (await bench.rows("SELECT * FROM epochs"))[0]


async def test_a_market_follows_its_events_from_creation_to_resolution(bench):
    bench.scene.market(MARKET)
    await bench.index()
    (row,) = await bench.rows("SELECT * FROM markets")
    assert (row["market_id"], row["state"], row["outcomes"]) == (MARKET, "ACTIVE", ["home", "draw", "away"])
    assert (row["commitment"], row["resolution"], row["catalog"]) == ("confirmed", None, "sports")
    bench.scene.state(MARKET, 1, 2)
    bench.scene.resolve(MARKET, 2)
    bench.chain.finalize()
    await bench.index()
    (row,) = await bench.rows("SELECT * FROM markets")
    assert (row["state"], row["resolution"], row["commitment"]) == ("DEPRECATED", 2, "finalized")


async def test_an_epoch_is_public_as_final_only_once_its_transaction_is(bench):
    bench.scene.set_up()
    bundle = bench.scene.bundle(7, {MARKET: SPLIT})
    bench.scene.open(7)
    await bench.index()
    assert (await the_epoch(bench))["public_status"] == "open"
    bench.scene.commit(bundle, 0)
    await bench.index()
    assert (await the_epoch(bench))["public_status"] == "committing"
    bench.scene.commit(bundle, 1)
    for signer in (0, 1):
        bench.scene.reveal(bundle, signer)
    await bench.index()
    assert (await the_epoch(bench))["public_status"] == "revealing"
    signature = bench.scene.finalize(bundle)
    await bench.index()
    row = await the_epoch(bench)
    assert (row["status"], row["public_status"], row["settled"]) == ("finalized", "revealing", False)
    bench.chain.finalize()
    await bench.index()
    row = await the_epoch(bench)
    assert (row["public_status"], row["settled"], row["finalize_signature"]) == ("finalized", True, signature)
    assert (row["bundle_hash"], row["leaf_count"]) == (bench.scene.hash_of(bundle), 1)
    assert row["prev_bundle_hash"] == bytes(32)


async def test_every_member_of_the_set_is_listed_and_only_true_attestations_count(bench):
    bench.scene.set_up()
    bundle = bench.scene.bundle(7, {MARKET: SPLIT})
    bench.scene.open(7)
    bench.scene.commit(bundle, 0)
    bench.scene.commit(bundle, 1)
    bench.scene.reveal(bundle, 0)
    bench.scene.reveal(bundle, 1, attestation=bytes(64))
    await bench.index()
    rows = {r["signer"]: r for r in await bench.rows("SELECT * FROM epoch_signers")}
    first, second, third = (rows[str(s.pubkey())] for s in bench.scene.signers)
    assert (first["committed"], first["revealed"], first["attestation_valid"]) == (True, True, True)
    assert (second["committed"], second["revealed"], second["attestation_valid"]) == (True, True, False)
    assert (third["committed"], third["revealed"], third["attestation_valid"]) == (False, False, None)


async def test_an_epoch_without_quorum_expires(bench):
    bench.scene.set_up()
    bench.scene.open(7)
    bench.scene.expire(7)
    await bench.index()
    assert (await the_epoch(bench))["public_status"] == "expired"


async def test_reading_everything_again_changes_nothing(bench):
    bench.scene.set_up()
    bench.scene.market(MARKET)
    bench.scene.whole_epoch(bench.scene.bundle(7, {MARKET: SPLIT}))
    await bench.index()
    before = await bench.rows("SELECT * FROM chain_events ORDER BY position, inner_index")
    assert await bench.index() == [False, False]
    await bench.rows("DELETE FROM cursors RETURNING name")
    await bench.rows("UPDATE chain_transactions SET slot = slot RETURNING slot")
    assert await bench.index() == [False, False]
    assert await bench.rows("SELECT * FROM chain_events ORDER BY position, inner_index") == before


async def test_the_cursor_stays_behind_what_could_still_vanish(bench):
    bench.scene.market("FIRST")
    bench.chain.finalize()
    final_slot = bench.chain.height
    bench.scene.market("SECOND")
    await bench.index()
    cursors = await bench.rows("SELECT slot FROM cursors")
    assert [c["slot"] for c in cursors] == [final_slot]
    bench.chain.fetched.clear()
    await bench.index()
    assert bench.chain.fetched == []


async def test_a_cursor_never_goes_back(bench):
    async with postgres.transaction(bench.pool) as connection:
        for slot in (5, 3, 5, 7, 6):
            await history.move_cursor(connection, "program", Cursor(f"at {slot}", slot), 0)
        assert await history.cursor(connection, "program") == Cursor("at 7", 7)


async def test_transactions_of_one_slot_count_in_the_order_of_the_chain(bench):
    bench.scene.market(MARKET)
    slot = bench.chain.height
    key = market_key(MARKET)
    moves = [(1, 2), (2, 1), (1, 2), (2, 1), (1, 3), (3, 4)]
    for old, new in moves:
        line = event_line(idl.registry(), "MarketStateChanged", {"market_key": key, "old_state": old, "new_state": new})
        bench.chain.add(bench.scene.programs.registry, [line], slot=slot)
        await bench.index()
    rows = await bench.rows("SELECT state FROM markets")
    assert [r["state"] for r in rows] == ["ARCHIVED"]
    async with postgres.transaction(bench.pool) as connection:
        (events,) = (await history.events_of(connection, [f"market:{key.hex()}"])).values()
    changes = [e.event for e in events if e.name == "MarketStateChanged"]
    assert [(int(e.old_state), int(e.new_state)) for e in changes] == [(0, 1), *moves]


async def test_a_transaction_lost_to_a_fork_takes_its_effect_with_it(bench):
    bench.scene.market(MARKET)
    bench.chain.finalize()
    paused = bench.scene.state(MARKET, 1, 2)
    await bench.index()
    assert [r["state"] for r in await bench.rows("SELECT state FROM markets")] == ["PAUSED"]
    bench.chain.drop(paused)
    bench.chain.finalize()
    await bench.index()
    (row,) = await bench.rows("SELECT state, commitment FROM markets")
    assert row == {"state": "ACTIVE", "commitment": "finalized"}
    assert await bench.rows("SELECT 1 FROM chain_transactions WHERE signature = %s", paused) == []


async def test_a_market_whose_creation_is_lost_to_a_fork_is_gone(bench):
    created = bench.scene.market(MARKET)
    await bench.index()
    bench.chain.drop(created)
    bench.chain.finalize()
    await bench.index()
    assert await bench.rows("SELECT * FROM markets") == []


async def test_what_a_lagging_node_does_not_know_stays_and_is_published_once(bench):
    """One node of a pool is behind: what it has not seen is no fork."""
    bench.scene.market("FIRST")
    bench.chain.finalize()
    created = bench.scene.market("SECOND")
    await bench.index()
    unknown = [bench.chain.drop(each.record.signature) for each in bench.chain.landed if not each.final]
    assert created in {each.record.signature for each in unknown}
    await bench.index()
    await bench.index()
    assert len(await bench.rows("SELECT * FROM markets")) == 2
    bench.chain.landed += unknown
    bench.chain.finalize()
    await bench.index()
    await bench.publish()
    assert [m.market_id for m in bench.sent(REGISTRY.name, RegistryMarket, 1)] == ["FIRST", "SECOND"]


async def test_a_transaction_that_moved_to_another_slot_counts_once_and_there(bench):
    created = bench.scene.market(MARKET)
    await bench.index()
    moved = bench.chain.drop(created)
    import msgspec
    from index_scene import Landed

    bench.chain.landed.insert(0, Landed(msgspec.structs.replace(moved.record, slot=moved.record.slot + 1)))
    await bench.index()
    rows = await bench.rows("SELECT slot FROM chain_events WHERE signature = %s", created)
    assert [r["slot"] for r in rows] == [moved.record.slot + 1]
    assert len(await bench.rows("SELECT * FROM markets")) == 1


async def test_a_failed_transaction_is_not_stored(bench):
    line = event_line(idl.registry(), "PausedSet", {"paused": True})
    bench.chain.add(bench.scene.programs.registry, [line], error="Custom(6000)")
    await bench.index()
    assert await bench.rows("SELECT * FROM chain_events") == []


async def test_an_event_that_cannot_be_read_costs_no_other_of_its_transaction(bench):
    """The others keep their places, and what the accounts say is looked at."""
    program, doubts = bench.scene.programs.registry, []
    for follower in bench.followers:
        follower.on_doubt = lambda: doubts.append(1)
    line = event_line(idl.registry(), "PausedSet", {"paused": True})
    before = metrics.UNREADABLE.labels("m0_registry")._value.get()
    bench.chain.add(program, [line, line + "AAAA", line])
    await bench.index()
    rows = await bench.rows("SELECT name, inner_index FROM chain_events ORDER BY inner_index")
    assert [tuple(row.values()) for row in rows] == [("PausedSet", 0), ("PausedSet", 2)]
    assert metrics.UNREADABLE.labels("m0_registry")._value.get() - before == 1
    assert doubts == [1]


async def test_a_node_that_is_away_is_unavailable_and_nothing_is_half_written(bench):
    bench.scene.market(MARKET)
    bench.chain.down = True
    with pytest.raises(Unavailable):
        await bench.index()
    assert bench.followers[0].ready() is not None
    bench.chain.down = False
    await bench.index()
    assert bench.followers[0].ready() is None
    bench.clock.advance(60_000)
    assert "ms ago" in bench.followers[0].ready()


async def test_a_title_with_a_nul_is_stored_without_it(bench):
    bench.scene.registry(
        "MarketCreated",
        market_key=bytes(32),
        catalog=b"sports".ljust(16, b"\0"),
        market_id="NUL",
        group="g",
        title="a\0b",
        outcomes=["x", "y"],
        schema_version=1,
        opens_ms=0,
        resolves_after_ms=0,
    )
    await bench.index()
    assert [r["title"] for r in await bench.rows("SELECT title FROM markets")] == ["a\ufffdb"]


async def test_a_history_longer_than_a_listing_is_read_in_several_passes(bench):
    bench.chain.listed_max = 5
    bench.scene.set_up()
    bundles = [bench.scene.bundle(epoch_id, {"A": [1_000_000_000]}) for epoch_id in range(7, 11)]
    for bundle in bundles:
        bench.scene.whole_epoch(bundle)
    bench.chain.finalize()
    oracle, passes = bench.followers[1], 0
    while True:
        await oracle.once()
        passes += 1
        if not oracle.more:
            break
        assert "still being read" in oracle.ready()
    assert passes == len(bench.chain.landed) // 5 + 1
    assert oracle.ready() is None
    assert await bench.rows("SELECT epoch_id FROM epochs WHERE settled ORDER BY epoch_id") == [
        {"epoch_id": epoch_id} for epoch_id in range(7, 11)
    ]


async def test_what_a_listing_had_no_room_for_is_not_taken_for_gone(bench):
    bench.scene.market("A")
    bench.scene.market("B")
    await bench.index()
    bench.chain.finalize(bench.chain.height - 2)  # two of four are final, the others confirmed and stored
    bench.chain.listed_max = 1
    registry = bench.followers[0]
    for _ in range(4):
        await registry.once()
    assert len(await bench.rows("SELECT market_id FROM markets")) == 2
    bench.chain.finalize()
    while await registry.once() or registry.more:
        pass
    assert {row["commitment"] for row in await bench.rows("SELECT commitment FROM markets")} == {"finalized"}
