"""An epoch whose body the log has lost is published without predictions, and holds nobody back."""

import pytest
from m0_indexer.bodies import LOOK_EVERY_MS, PATIENCE_MS, Bodies, Heads, is_gone, read_whole
from m0_indexer.consume import GROUP
from m0common.clock import ManualClock
from m0common.messages import EpochMember, FinalizedEpoch, FinalizedPrediction
from m0common.store import postgres
from m0common.stream.broker import TopicPartition
from m0common.stream.follow import Bounds
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce
from m0common.topics import BUNDLES, FINALIZED_EPOCHS, FINALIZED_PREDICTIONS, HEADERS
from m0index import shapes
from m0index.tables import positions

SPLIT = [500_000_000, 300_000_000, 200_000_000]
FINAL_MS = 1_800_000_000_000
MEMBERS = (EpochMember("4" * 44, True, True, bytes(32)),)
EPOCH = FinalizedEpoch(
    "sports", 7, 1, 2, 1, bytes(32), bytes(32), bytes(32), 1, MEMBERS, 3, 4, "5" * 88, 99, at_ms=FINAL_MS
)
HOME = partition_for(b"sports", 2)
PLACES = [TopicPartition(topic, number) for topic in (BUNDLES.name, HEADERS.name) for number in range(2)]


def heads(looked_ms, end=5, begin=0, cluster="one"):
    return Heads(looked_ms, cluster, Bounds(dict.fromkeys(PLACES, begin), dict.fromkeys(PLACES, end)))


@pytest.mark.parametrize(
    ("looked_ms", "whole", "gone"),
    [
        (FINAL_MS + PATIENCE_MS + 1, {HOME}, True),
        (FINAL_MS + PATIENCE_MS, {HOME}, False),
        (FINAL_MS + PATIENCE_MS + 1, {1 - HOME}, False),
    ],
)
def test_a_body_is_gone_when_what_was_there_long_after_the_epochs_end_was_all_read(looked_ms, whole, gone):
    assert is_gone(EPOCH, heads(looked_ms), whole) is gone


def test_without_a_look_at_the_log_nothing_is_gone():
    assert not is_gone(EPOCH, None, {0, 1})


async def test_the_log_is_looked_at_seldom(broker):
    bodies = Bodies(broker)
    broker.append([Produce(BUNDLES.name, 1, b"sports", b"piece")])
    first = await bodies.heads(0)
    broker.append([Produce(BUNDLES.name, 1, b"sports", b"piece")])
    assert await bodies.heads(LOOK_EVERY_MS - 1) == first
    later = await bodies.heads(LOOK_EVERY_MS)
    where = TopicPartition(BUNDLES.name, 1)
    assert [(h.looked_ms, h.found.ends[where], h.cluster) for h in (first, later)] == [
        (0, 1, broker.cluster_id), (LOOK_EVERY_MS, 2, broker.cluster_id),
    ]  # fmt: skip


@pytest.mark.postgres
async def test_a_partition_is_read_whole_when_both_topics_are_in_this_cluster(pool):
    async with postgres.transaction(pool) as connection:
        assert await read_whole(connection, None) == frozenset()
        assert await read_whole(connection, heads(0)) == frozenset()
        assert await read_whole(connection, heads(0, end=5, begin=5)) == {0, 1}, "there is nothing to read"
        for place in PLACES[:3]:  # bundles of both, headers of the first
            await positions.move(connection, GROUP, "one", place, None, 5)
        assert await read_whole(connection, heads(0)) == {0}
        assert await read_whole(connection, heads(0, end=6)) == frozenset()
        assert await read_whole(connection, heads(0, cluster="other")) == frozenset()


@pytest.mark.postgres
async def test_an_epoch_without_a_body_in_the_log_is_published_without_predictions_and_holds_nobody_back(bench):
    bench.scene.set_up()
    lost, kept = bench.scene.bundle(7, {"A": SPLIT}), bench.scene.bundle(8, {"A": SPLIT})
    for bundle in (lost, kept):
        bench.scene.whole_epoch(bundle)
    bench.chain.finalize()
    await bench.index()
    await bench.store(kept)
    ((final_ms,),) = [tuple(row.values()) for row in await bench.rows("SELECT max(finalized_ms) FROM epochs")]
    bench.clock = bench.publisher.clock = ManualClock(final_ms + 2 * PATIENCE_MS)
    where = TopicPartition(BUNDLES.name, HOME)
    bench.broker.append([Produce(where.topic, where.partition, b"sports", b"not read yet")])
    for _ in range(2):
        await bench.publish()
    assert bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch) == []
    async with postgres.transaction(bench.pool) as connection:
        await positions.move(connection, GROUP, bench.broker.cluster_id, where, None, 1)
    await bench.publish()
    first, second = bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch)
    assert (first.epoch_id, first.body) == (7, "missing")
    assert (second.epoch_id, second.body) == (8, "available")
    assert {p.epoch_id for p in bench.sent(FINALIZED_PREDICTIONS.name, FinalizedPrediction)} == {8}
    await bench.publish()
    assert len(bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch)) == 2


@pytest.mark.postgres
async def test_where_the_bundle_before_is_lost_with_the_body_none_is_named(bench):
    bench.scene.set_up()
    bench.scene.whole_epoch(bench.scene.bundle(7, {"A": SPLIT}))
    bench.chain.finalize()
    await bench.index()
    ((final_ms,),) = [tuple(row.values()) for row in await bench.rows("SELECT finalized_ms FROM epochs")]
    async with postgres.transaction(bench.pool) as connection:
        await connection.execute("UPDATE epochs SET prev_bundle_hash = NULL")
    bench.publisher.clock = ManualClock(final_ms + 2 * PATIENCE_MS)
    for _ in range(2):
        await bench.publish()
    (epoch,) = bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch)
    assert (epoch.body, epoch.prev_bundle_hash) == ("missing", None)
    assert shapes.final_epoch(epoch).prev_bundle_hash is None
