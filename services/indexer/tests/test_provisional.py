"""The newest provisional prediction of each market."""

import asyncio

import pytest
from m0_indexer.provisional import Newest, ProvisionalStore, read
from m0common.canonical import Outcome
from m0common.errors import DeadLetterError, Unavailable
from m0common.messages import ProvisionalPrediction, encode
from m0common.stream.broker import TopicPartition
from m0common.stream.door import read_provisional
from m0common.stream.follow import Follower
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.tasks import end_task
from m0common.topics import PROVISIONAL


def said(market_id="M", cause=1, **changes):
    fields = {
        "catalog": "sports", "partition": 0, "life": 0, "cause": cause, "market_id": market_id, "epoch_id": 7,
        "event_ms": 1, "window_end_ms": 160_000, "schema_version": 1,
        "outcomes": (Outcome(600_000_000, 5, 700_000_000), Outcome(400_000_000, 4, 500_000_000)),
        "risk_bps": 77, "quality_flags": 1 << 31, "model": "live", "model_key": b"k" * 32,
    }  # fmt: skip
    return ProvisionalPrediction(**fields | changes)


def test_what_could_stand_in_a_leaf_is_read():
    assert read_provisional(encode(said())) == said()
    assert read_provisional(encode(said(outcomes=()))).outcomes == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"catalog": "a b"}, {"market_id": "M\0"}, {"model": "m\0"}, {"model": "m" * 65}, {"model_key": b"k"},
        {"epoch_id": 1 << 63}, {"epoch_id": -1}, {"life": -1}, {"cause": 1 << 63}, {"event_ms": -1},
        {"window_end_ms": 1 << 63}, {"risk_bps": 10_001}, {"quality_flags": 1 << 32}, {"schema_version": 1 << 16},
        {"outcomes": (Outcome(1, 1, 1),)}, {"outcomes": (Outcome(1_000_000_000, 2_000_000_000, 0),)},
    ],
)  # fmt: skip
def test_what_no_leaf_or_column_could_hold_is_refused(changes):
    with pytest.raises(DeadLetterError, match="invalid_provisional"):
        read_provisional(encode(said(**changes)))


@pytest.mark.parametrize("value", [b"", b"\xc1", b"\x91\xa1\xff", b"\x9e\xa3\xed\xa0\x80", b"\x91" * 50_000])
def test_bytes_that_are_no_message_are_refused(value):
    with pytest.raises(DeadLetterError, match="invalid_provisional"):
        read_provisional(value)


def test_memory_holds_one_prediction_of_a_bounded_number_of_markets():
    newest = Newest(limit=2)
    assert newest.add(said("A", 5))
    assert newest.add(said("B", 5))
    assert not newest.add(said("C", 5))
    assert newest.add(said("A", 4))
    assert newest.add(said("B", 1, life=1))
    assert {m: (p.life, p.cause) for m, p in newest.by_market.items()} == {"A": (0, 5), "B": (1, 1)}


@pytest.mark.postgres
async def test_the_highest_life_and_cause_of_a_market_stays(bench):
    store = ProvisionalStore(bench.pool)
    for batch in ([said(cause=5), said(cause=4)], [said(cause=3)], [said(cause=1, life=1)], [said(cause=9)]):
        for each in batch:
            store.take(encode(each))
        assert await store.write() == 1
    (row,) = await bench.rows("SELECT market_id, life, cause, outcomes, quality_flags FROM provisional")
    assert (row["market_id"], row["life"], row["cause"], row["quality_flags"]) == ("M", 1, 1, 1 << 31)
    assert row["outcomes"] == [[600_000_000, 5, 700_000_000], [400_000_000, 4, 500_000_000]]


@pytest.mark.postgres
async def test_what_could_not_be_written_is_written_later_unless_something_newer_came(bench):
    store = ProvisionalStore(bench.pool)
    store.take(encode(said("A", 1)))
    store.take(encode(said("B", 1)))
    pool, store.pool = store.pool, Away()
    with pytest.raises(Unavailable):
        await store.write()
    store.pool = pool
    store.take(encode(said("A", 2)))
    assert await store.write() == 2
    rows = await bench.rows("SELECT market_id, cause FROM provisional ORDER BY market_id")
    assert [(row["market_id"], row["cause"]) for row in rows] == [("A", 2), ("B", 1)]


class Away:
    """A pool whose database does not answer."""

    def connection(self):
        raise Unavailable("the database is away")


@pytest.mark.postgres
async def test_the_reader_begins_at_the_end_and_passes_over_what_it_cannot_read(bench):
    await bench.produce(PROVISIONAL.name, b"OLD", encode(said("OLD")))
    store, follower = ProvisionalStore(bench.pool), Follower.waiting(bench.broker, "test")
    work = asyncio.create_task(read(store, follower))
    async with asyncio.timeout(60):
        while not follower.next_offsets:  # noqa: ASYNC110 - a log, not an event
            await asyncio.sleep(0.01)
        for value in (b"\xc1", b"\x91\xa1\xff", encode(said("M\0")), encode(said("NEW"))):
            await bench.produce(PROVISIONAL.name, b"k", value)
        while "NEW" not in store.waiting.by_market:  # noqa: ASYNC110 - a log, not an event
            await asyncio.sleep(0.01)
    await end_task(work)
    assert list(store.waiting.by_market) == ["NEW"]


async def test_what_the_log_has_lost_is_passed_over():
    broker = MemoryBroker()
    await broker.create_topics([PROVISIONAL], 1)
    store, follower = ProvisionalStore(Away()), Follower.waiting(broker, "test")
    work = asyncio.create_task(read(store, follower))
    async with asyncio.timeout(60):
        while not follower.next_offsets:  # noqa: ASYNC110 - a log, not an event
            await asyncio.sleep(0.01)
        broker.append([Produce(PROVISIONAL.name, 0, b"k", encode(said("LOST"))) for _ in range(3)])
        broker.truncate(PROVISIONAL.name, 0, 2)
        while follower.next_offsets != {TopicPartition(PROVISIONAL.name, 0): 3}:  # noqa: ASYNC110 - a log, not an event
            await asyncio.sleep(0.01)
        broker.append([Produce(PROVISIONAL.name, 0, b"k", encode(said("NEW")))])
        while "NEW" not in store.waiting.by_market:  # noqa: ASYNC110 - a log, not an event
            await asyncio.sleep(0.01)
    await end_task(work)
    assert list(store.waiting.by_market) == ["NEW"]
