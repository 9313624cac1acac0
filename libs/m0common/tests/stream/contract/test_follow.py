"""Following topics outside any group: every reader's answers to gaps, ends, losses and outages."""

import asyncio

import pytest
from m0common.errors import DeadLetterError, OffsetsGone, Unavailable
from m0common.stream.broker import AT_BEGINNING, AT_END, TopicPartition
from m0common.stream.follow import Follower, read_to_end
from m0common.stream.records import Produce
from prometheus_client import REGISTRY
from stream_run import answered

PATIENCE_S = 60.0


def numbered(topic, numbers, partition=0):
    return [Produce(topic, partition, b"k%d" % number, b"%d" % number) for number in numbers]


async def take(follower, count, **how):
    """The next `count` values."""
    values = []
    async with asyncio.timeout(PATIENCE_S):
        while len(values) < count:
            values += [record.value for record in await follower.next(timeout_ms=200, **how)]
    return values


async def drain(follower, **how):
    """Every value up to the ends the follower was given."""
    values = []
    async with asyncio.timeout(PATIENCE_S):
        while follower.unread:
            values += [record.value for record in await follower.next(timeout_ms=200, **how)]
    return values


async def until(condition, follower):
    """Poll until `condition` is true; whatever comes is dropped."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await follower.next(timeout_ms=200)


async def test_it_begins_where_each_partition_is_told_to(world):
    topic = await world.topic("starts", 3)
    for partition in range(3):
        await world.send(*numbered(topic, range(5), partition))
    async with Follower(world.broker) as follower:
        a, b, c = await follower.places(topic)
        await follower.open([a, b, c])
        await follower.go({a: AT_BEGINNING, b: 3, c: AT_END})
        assert follower.next_offsets == {a: 0, b: 3, c: 5}
        assert not follower.caught_up
        assert sorted(await take(follower, 7)) == sorted([b"0", b"1", b"2", b"3", b"4", b"3", b"4"])
        await until(lambda: follower.caught_up, follower)
        await world.send(*numbered(topic, [5], 2))
        assert await take(follower, 1) == [b"5"]
        assert follower.next_offsets == {a: 5, b: 5, c: 6}


async def test_what_comes_behind_an_end_waits_until_the_end_is_moved(world):
    topic = await world.topic("until", 1)
    where = TopicPartition(topic, 0)
    await world.send(*numbered(topic, range(9)))
    async with Follower(world.broker) as follower:
        await follower.open([where])
        await follower.go({where: 2}, {where: 5})
        assert await drain(follower) == [b"2", b"3", b"4"]
        assert await follower.next() == []
        assert follower.next_offsets == {where: 5}
        follower.until = {where: 7}
        assert await drain(follower) == [b"5", b"6"]


async def test_one_partition_can_be_read_while_the_others_wait(world):
    topic = await world.topic("only", 2)
    await world.send(*numbered(topic, range(3)), *numbered(topic, range(10, 13), 1))
    async with Follower(world.broker) as follower:
        a, b = await follower.places(topic)
        await follower.open([a, b])
        await follower.go(follower.begins, follower.ends)
        assert await take(follower, 3, only={b}) == [b"10", b"11", b"12"]
        assert await follower.next(only={b}) == []
        assert (follower.next_offsets[a], follower.unread) == (0, {a})
        assert await drain(follower) == [b"0", b"1", b"2"]


async def test_an_end_that_was_compacted_away_is_reached(memory):
    topic = await memory.topic("tail", 1, compacted=True)
    await memory.send(*numbered(topic, [1, 2, 3]), Produce(topic, 0, b"k2", b""), Produce(topic, 0, b"k3", b""))
    memory.broker.compact(topic)
    async with Follower(memory.broker) as follower:
        await follower.open(await follower.places(topic))
        await follower.go(follower.begins, follower.ends)
        assert await drain(follower) == [b"1"]
        assert follower.caught_up
    assert [r.value for r in await memory.read(topic)] == [b"1"]


async def test_an_open_transaction_is_the_end_and_an_aborted_one_is_passed(world):
    topic = await world.topic("head", 1)
    where = TopicPartition(topic, 0)
    await world.send(*numbered(topic, [0]))
    transaction = await world.transaction()
    await transaction.send(*numbered(topic, [1, 2]))
    async with Follower(world.broker) as follower:
        await follower.open([where])
        await follower.go({where: 0}, follower.ends)
        assert (await drain(follower), follower.caught_up) == ([b"0"], True)
        await transaction.abort()
        end = (await follower.end_offsets([where]))[where]
        assert end == 4
        follower.until = {where: end}
        assert await drain(follower) == []
        assert follower.next_offsets == {where: 4}


async def test_a_start_that_the_log_has_lost_or_never_had_is_refused(world):
    topic = await world.topic("lost", 1)
    where = TopicPartition(topic, 0)
    await world.send(*numbered(topic, range(9)))
    await world.broker.delete_before({where: 4})
    async with Follower(world.broker) as follower:
        await follower.open([where])
        with pytest.raises(OffsetsGone, match=f"{topic} partition 0: offset 10 is gone, the log holds 4 to 9"):
            await follower.go({where: 10}, follower.ends)
        await follower.go({where: 3})
        with pytest.raises(OffsetsGone, match="offset 3 is gone"):
            await take(follower, 1)
        await world.send(*numbered(topic, [9]))
        await follower.go({where: 10})
        assert follower.next_offsets == {where: 10}


async def test_what_is_lost_in_front_of_a_reader_stops_it_and_it_may_go_on_where_it_decides(world):
    topic = await world.topic("trim", 2)
    a, b = TopicPartition(topic, 0), TopicPartition(topic, 1)
    await world.send(*numbered(topic, range(6)))
    async with Follower(world.broker) as follower:
        await follower.open([a, b])
        await follower.go({a: 0, b: 0}, {a: 2})
        assert await drain_one(follower, a) == [b"0", b"1"]
        await world.broker.delete_before({a: 4})
        follower.until = {}
        with pytest.raises(OffsetsGone) as gone:
            await take(follower, 1)
        assert (gone.value.wanted, gone.value.first, gone.value.end) == (2, 4, 6)
        await follower.go({a: gone.value.first, b: 0})
        assert await take(follower, 2) == [b"4", b"5"]


async def drain_one(follower, where):
    values = []
    async with asyncio.timeout(PATIENCE_S):
        while where in follower.unread:
            values += [record.value for record in await follower.next(timeout_ms=200)]
    return values


async def test_a_topic_replaced_by_a_shorter_one_stops_its_reader(world):
    topic = await world.topic("replaced", 1)
    where = TopicPartition(topic, 0)
    await world.send(*numbered(topic, range(6)))
    async with Follower(world.broker) as follower:
        await follower.open([where])
        await follower.go({where: 0})
        await take(follower, 6)
        await world.delete(topic)
        await world.topic("replaced", 1)
        await world.send(*numbered(topic, range(2)))
        with pytest.raises(OffsetsGone) as gone:
            await take(follower, 1)
        assert (gone.value.wanted, gone.value.end) == (6, 2)


@pytest.mark.outage
async def test_nothing_is_lost_or_doubled_when_the_broker_dies_and_the_silence_is_seen(world):
    topic = await world.topic("dies", 1)
    await world.send(*numbered(topic, range(4)))
    async with Follower.waiting(world.broker, world.name("reader")) as follower:
        await follower.open(await follower.places(topic))
        await follower.go(follower.begins)
        assert await take(follower, 4) == [b"0", b"1", b"2", b"3"]
        await until(lambda: follower.problem is None, follower)
        world.break_down()
        following = asyncio.create_task(take(follower, 3))
        async with asyncio.timeout(PATIENCE_S):
            while follower.problem is None:  # noqa: ASYNC110 - what readiness sees is asked for, not told
                await asyncio.sleep(0.05)
        await asyncio.to_thread(world.repair)
        await world.send(*numbered(topic, range(4, 7)))
        assert await following == [b"4", b"5", b"6"]
        await until(lambda: follower.problem is None, follower)


@pytest.mark.outage
async def test_a_broker_that_keeps_its_connections_and_says_nothing_is_seen(world):
    topic = await world.topic("frozen", 1)
    async with Follower.waiting(world.broker, world.name("reader")) as follower:
        await follower.open(await follower.places(topic))
        await follower.go(follower.begins)
        await until(lambda: follower.problem is None, follower)
        world.freeze()
        try:
            await until(lambda: "no broker has answered about" in (follower.problem or ""), follower)
        finally:
            world.thaw()
        await answered(lambda: world.send(*numbered(topic, [0])))
        assert await take(follower, 1) == [b"0"]
        await until(lambda: follower.problem is None, follower)


@pytest.mark.outage
async def test_one_that_does_not_wait_says_that_the_broker_is_away(world):
    topic = await world.topic("away", 1)
    world.break_down()
    try:
        async with Follower(world.broker) as follower:
            with pytest.raises(Unavailable):
                await follower.open([TopicPartition(topic, 0)])
    finally:
        await asyncio.to_thread(world.repair)


async def test_a_missing_topic_is_waited_for(world):
    name = world.name("later")
    async with Follower.waiting(world.broker, name) as follower:
        waits = asyncio.create_task(follower.places(name))
        async with asyncio.timeout(PATIENCE_S):
            while follower.problem is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert f"{name} does not exist" in follower.problem
        await world.topic("later", 2)
        assert await waits == [TopicPartition(name, 0), TopicPartition(name, 1)]


async def test_lag_and_what_cannot_be_read_are_counted_under_the_readers_name(world):
    topic, name = await world.topic("measured", 1), world.name("measured")
    where = TopicPartition(topic, 0)
    await world.send(*numbered(topic, range(8)))
    async with Follower.waiting(world.broker, name) as follower:
        await follower.open([where])
        await follower.go({where: 0})
        record = (await first(follower))[0]
        labels = {"stage": name, "topic": topic, "partition": "0"}
        await until(lambda: REGISTRY.get_sample_value("m0_stage_lag_messages", labels) == 0, follower)
        assert follower.next_offsets == {where: 8}
        for _ in range(3):
            follower.unreadable(record, DeadLetterError("not_a_number", "it is none"))
        letters = {"stage": name, "error": "not_a_number"}
        assert REGISTRY.get_sample_value("m0_stage_dead_letters_total", letters) == 3


async def first(follower):
    async with asyncio.timeout(PATIENCE_S):
        while not (records := await follower.next(3, 200)):
            pass
    return records


async def test_reading_to_the_end_takes_ranges_of_single_partitions(world):
    topic = await world.topic("range", 2)
    await world.send(*numbered(topic, range(6)))
    found = [r.value async for batch in read_to_end(world.broker, topic, [0], {0: 2}, {0: 4}) for r in batch]
    assert found == [b"2", b"3"]
    assert [batch async for batch in read_to_end(world.broker, topic, [0], {0: 4}, {0: 4})] == []
