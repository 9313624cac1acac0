"""An epoch whose body the log has lost is announced without predictions, and holds nobody back."""

import pytest
from m0_indexer.bodies import CLOCKS_MS, LOOK_EVERY_MS, Bodies, is_gone
from m0common.clock import ManualClock
from m0common.messages import EpochMember, FinalizedEpoch, FinalizedPrediction
from m0common.stream.broker import TopicPartition
from m0common.stream.memory import MemoryBroker
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce
from m0common.topics import BUNDLES, FINALIZED_EPOCHS, FINALIZED_PREDICTIONS, TOPICS

SPLIT = [500_000_000, 300_000_000, 200_000_000]
FINAL_MS = 1_800_000_000_000
MEMBERS = (EpochMember("4" * 44, True, True, bytes(32)),)
EPOCH = FinalizedEpoch(
    "sports", 7, 1, 2, 1, bytes(32), bytes(32), bytes(32), 1, MEMBERS, 3, 4, "5" * 88, 99, at_ms=FINAL_MS
)
HOME = partition_for(b"sports", 2)


@pytest.mark.parametrize(
    ("oldest_ms", "now_ms", "gone"),
    [
        (FINAL_MS - 1, FINAL_MS + 10 * CLOCKS_MS, False),
        (FINAL_MS + CLOCKS_MS, FINAL_MS + 10 * CLOCKS_MS, False),
        (FINAL_MS + CLOCKS_MS + 1, FINAL_MS + 10 * CLOCKS_MS, True),
        (None, FINAL_MS + CLOCKS_MS, False),
        (None, FINAL_MS + CLOCKS_MS + 1, True),
    ],
)
def test_a_body_is_gone_when_all_the_log_holds_is_younger_than_its_epochs_end(oldest_ms, now_ms, gone):
    other = None if oldest_ms is not None else 0
    assert is_gone(EPOCH, {HOME: oldest_ms, 1 - HOME: other}, now_ms) is gone


def test_without_a_look_at_the_log_nothing_is_gone():
    assert not is_gone(EPOCH, {}, FINAL_MS + 10 * CLOCKS_MS)


async def log_of(clock):
    broker = MemoryBroker(clock)
    await broker.create_topics(TOPICS, 2)
    return broker


async def test_the_logs_age_is_that_of_its_oldest_record_and_is_looked_at_seldom():
    clock = ManualClock(FINAL_MS)
    broker, place = await log_of(clock), TopicPartition(BUNDLES.name, 1)
    for _ in range(3):
        broker.append([Produce(BUNDLES.name, 1, b"sports", b"piece")])
        clock.advance(1_000)
    bodies = Bodies(broker)
    assert await bodies.ages(0) == {0: None, 1: FINAL_MS}
    await broker.delete_before({place: 2})
    assert await bodies.ages(LOOK_EVERY_MS - 1) == {0: None, 1: FINAL_MS}
    assert await bodies.ages(LOOK_EVERY_MS) == {0: None, 1: FINAL_MS + 2_000}
    await broker.delete_before({place: 3})
    assert await bodies.ages(2 * LOOK_EVERY_MS) == {0: None, 1: None}


@pytest.mark.postgres
async def test_an_epoch_without_a_body_in_the_log_is_announced_without_predictions_and_holds_nobody_back(
    pool, bench_of
):
    clock = ManualClock(1)
    bench = bench_of(pool, await log_of(clock))
    bench.scene.set_up()
    lost, kept = bench.scene.bundle(7, {"A": SPLIT}), bench.scene.bundle(8, {"A": SPLIT})
    for bundle in (lost, kept):
        bench.scene.whole_epoch(bundle)
    bench.chain.finalize()
    await bench.index()
    await bench.store(kept)
    ((final_ms,),) = [tuple(row.values()) for row in await bench.rows("SELECT max(finalized_ms) FROM epochs")]
    bench.clock.advance(final_ms + 2 * CLOCKS_MS - bench.clock.now_ms())
    clock.advance(final_ms - 2)
    bench.broker.append([Produce(BUNDLES.name, HOME, b"sports", b"of another epoch")])
    await bench.publish()
    await bench.publish()
    assert bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch) == []
    await bench.broker.delete_before({TopicPartition(BUNDLES.name, HOME): 1})
    bench.clock.advance(LOOK_EVERY_MS)
    await bench.publish()
    first, second = bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch)
    assert (first.epoch_id, first.body) == (7, "missing")
    assert (second.epoch_id, second.body) == (8, "available")
    assert {p.epoch_id for p in bench.sent(FINALIZED_PREDICTIONS.name, FinalizedPrediction)} == {8}
    await bench.publish()
    assert len(bench.sent(FINALIZED_EPOCHS.name, FinalizedEpoch)) == 2
