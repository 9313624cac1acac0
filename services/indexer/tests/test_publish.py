"""Bundles in, final epochs and markets out."""

import asyncio

import pytest
from m0_indexer.publish import EPOCHS_AT_ONCE
from m0_indexer.service import Indexer, check_chain, repeat_registry_if_lost
from m0common.errors import SettingsError, Unavailable
from m0common.messages import FinalizedEpoch, FinalizedPrediction, RegistryMarket, encode
from m0common.process import Process
from m0common.settings import Settings
from m0common.telemetry.traces import epoch_trace
from m0common.topics import BUNDLES, FINALIZED_EPOCHS, FINALIZED_PREDICTIONS, HEADERS, REGISTRY

pytestmark = pytest.mark.postgres
SPLIT = [500_000_000, 300_000_000, 200_000_000]


def epochs_sent(bench):
    return [e.epoch_id for e in bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch)]


async def test_a_final_epoch_is_published_with_its_leaves_once(bench):
    bench.scene.set_up()
    bundle = bench.scene.bundle(7, {"A": SPLIT, "B": SPLIT, "C": []})
    signature = bench.scene.whole_epoch(bundle)
    bench.chain.finalize()
    await bench.index()
    await bench.store(bundle)
    await bench.publish()
    await bench.publish()
    (epoch,) = bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch)
    assert (epoch.catalog, epoch.epoch_id, epoch.leaf_count) == ("sports", 7, 3)
    assert (epoch.bundle_hash, epoch.finalize_signature) == (bench.scene.hash_of(bundle), signature)
    revealed = {member.signer for member in epoch.signers if member.revealed}
    assert revealed == {str(s.pubkey()) for s in bench.scene.signers[:2]}
    assert len(epoch.signers) == len(bench.scene.signers)
    assert len(epoch.prev_bundle_hash) == 32
    leaves = bench.sent(FINALIZED_PREDICTIONS.name, FinalizedPrediction)
    assert [(p.market_id, p.leaf) for p in leaves] == list(zip(bundle.market_ids, bundle.leaves, strict=True))


async def test_what_is_published_bears_the_trace_of_its_epoch(bench):
    bench.scene.set_up()
    bench.scene.market("A")
    bundle = bench.scene.bundle(7, {"A": SPLIT})
    bench.scene.whole_epoch(bundle)
    bench.chain.finalize()
    await bench.index()
    await bench.store(bundle)
    await bench.publish()
    for topic in (FINALIZED_EPOCHS.name, FINALIZED_PREDICTIONS.name):
        assert [r.headers for p in range(2) for r in bench.broker.log(topic, p)] == [epoch_trace("sports", 7)]
    markets = [r.headers for r in bench.broker.log(REGISTRY.name, 0)]
    assert set(markets) == {()}


async def test_of_two_bundles_of_an_epoch_the_one_that_the_chain_has_is_published_whichever_came_first(bench):
    bench.scene.set_up()
    forged = bench.scene.bundle(7, {"A": SPLIT[::-1]})
    bundle = bench.scene.bundle(7, {"A": SPLIT})
    bench.scene.whole_epoch(bundle)
    bench.chain.finalize()
    await bench.index()
    await bench.store(forged)
    await bench.publish()
    assert epochs_sent(bench) == []
    await bench.store(bundle)
    await bench.publish()
    (epoch,) = bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch)
    assert epoch.bundle_hash == bench.scene.hash_of(bundle) != bench.scene.hash_of(forged)
    assert tuple(p.leaf for p in bench.sent(FINALIZED_PREDICTIONS.name, FinalizedPrediction)) == bundle.leaves


async def test_nothing_is_published_before_it_is_final_and_its_bundle_is_stored(bench):
    bench.scene.set_up()
    bundle = bench.scene.bundle(7, {"A": SPLIT})
    bench.scene.whole_epoch(bundle)
    await bench.store(bundle)
    await bench.index()
    await bench.publish()
    assert epochs_sent(bench) == []
    bench.chain.finalize()
    await bench.index()
    await bench.publish()
    assert epochs_sent(bench) == [7]


async def test_an_epoch_without_its_bundle_holds_back_later_ones_of_its_catalog_alone(bench):
    bench.scene.set_up(["sports", "crypto"])
    first = bench.scene.bundle(7, {"A": SPLIT})
    second = bench.scene.bundle(8, {"A": SPLIT})
    other = bench.scene.bundle(8, {"B": SPLIT}, "crypto")
    for bundle in (first, second, other):
        bench.scene.whole_epoch(bundle)
    bench.chain.finalize()
    await bench.index()
    await bench.store(second)
    await bench.store(other)
    await bench.publish()
    sent = bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch)
    assert [(e.catalog, e.epoch_id) for e in sent] == [("crypto", 8)]
    await bench.store(first)
    await bench.publish()
    sent = bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch)
    assert [e.epoch_id for e in sent if e.catalog == "sports"] == [7, 8]


async def test_more_epochs_than_are_published_at_once_all_are_in_order(bench):
    bench.scene.set_up(["sports", "crypto"])
    said = [
        bench.scene.bundle(epoch_id, {market: SPLIT}, catalog)
        for epoch_id in range(7, 7 + EPOCHS_AT_ONCE)
        for catalog, market in (("sports", "A"), ("crypto", "B"))
    ]
    for bundle in said:
        bench.scene.whole_epoch(bundle)
        await bench.store(bundle)
    bench.chain.finalize()
    await bench.index()
    sent = await bench.publish()
    assert sent == 2 * len(said)
    for catalog in ("sports", "crypto"):
        epochs = [e for e in bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch) if e.catalog == catalog]
        assert [e.epoch_id for e in epochs] == list(range(7, 7 + EPOCHS_AT_ONCE))
        assert [sum(member.revealed for member in e.signers) for e in epochs] == [2] * EPOCHS_AT_ONCE
    assert await bench.rows("SELECT id FROM outbox") == []


async def test_messages_that_the_broker_did_not_acknowledge_are_sent_again(bench):
    bench.scene.market("A")
    await bench.index()
    bench.broker.faults.lose_acks = 1
    with pytest.raises(Unavailable):
        await bench.publish()
    await bench.publish()
    states = [m.state for m in bench.sent(REGISTRY.name, RegistryMarket, 1)]
    assert states == ["ACTIVE", "ACTIVE"]


async def test_a_market_is_published_whenever_it_changes_and_not_otherwise(bench):
    bench.scene.market("A")
    await bench.index()
    bench.scene.resolve("A", 1)
    await bench.index()
    bench.chain.finalize()
    await bench.index()
    await bench.publish()
    sent = bench.sent(REGISTRY.name, RegistryMarket, 1)
    assert [(m.market_id, m.state, m.resolution) for m in sent] == [("A", "ACTIVE", None), ("A", "DEPRECATED", 1)]
    assert [r.key for r in bench.broker.log(REGISTRY.name, 0)] == [b"A", b"A"]


async def test_markets_are_published_again_when_the_topic_was_lost(bench):
    bench.scene.market("A")
    bench.scene.market("B")
    await bench.index()
    await bench.publish()
    assert await repeat_registry_if_lost(bench.pool, bench.broker, 0) == 0
    bench.broker.logs.topics[REGISTRY.name].logs[0].records.clear()
    bench.broker.logs.topics[REGISTRY.name].logs[0].end_offset = 0
    assert await repeat_registry_if_lost(bench.pool, bench.broker, 0) == 2


async def test_a_database_of_another_chain_is_refused(bench):
    await check_chain(bench.pool, bench.chain, 0)
    await check_chain(bench.pool, bench.chain, 0)
    bench.chain.hash = "another"
    with pytest.raises(SettingsError, match="empty database"):
        await check_chain(bench.pool, bench.chain, 0)


async def test_the_whole_indexer_takes_an_epoch_from_the_chain_to_the_broker_and_stops_when_told(bench):
    bench.scene.set_up()
    bench.scene.market("A")
    bundle = bench.scene.bundle(7, {"A": SPLIT})
    bench.scene.whole_epoch(bundle)
    bench.chain.finalize()
    for piece in bundle.pieces:
        await bench.produce(BUNDLES.name, b"sports", piece)
    await bench.produce(HEADERS.name, b"sports", encode(bundle.message))
    process = Process("indexer", Settings(), bench.clock)

    async def compose(process):
        Indexer(bench.scene.programs, bench.chain, bench.pool, bench.broker).begin(process)

    work = asyncio.create_task(process.live(compose))
    async with asyncio.timeout(60):
        while not epochs_sent(bench):  # noqa: ASYNC110 - a log, not an event
            await asyncio.sleep(0.05)
    assert [name for name, check in process.status.ready.items() if check() is not None] == []
    process.stop()
    await asyncio.wait_for(work, 60)
    assert sum(bench.broker.committed("m0-indexer").values()) == len(bundle.pieces) + 1
