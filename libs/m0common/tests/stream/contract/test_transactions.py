"""What every broker promises to who writes whole transactions under a name."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from m0common.errors import Fenced, MessageTooLarge, Unavailable
from m0common.stream.broker import TopicPartition
from m0common.stream.follow import bounds
from m0common.stream.records import Produce
from stream_run import answered

CONNECTOR = "m0-ingest-football"


@asynccontextmanager
async def started(world, name):
    writer = world.broker.transactions(name)
    await writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


def said(topic, *values):
    return [Produce(topic, 0, value, value) for value in values]


async def values(world, topic):
    return [record.value for record in await world.read(topic)]


async def test_transactions_over_several_topics_are_read_in_order(world):
    raw, cursors = await world.topic("raw", 3), await world.topic("cursors", 1, compacted=True)
    async with started(world, world.name(CONNECTOR)) as writer:
        await writer.send([])
        for turn in range(3):
            events = [Produce(raw, number % 3, b"k", b"%d:%d" % (turn, number)) for number in range(30)]
            await writer.send([*events, Produce(cursors, 0, b"football", b"%d" % turn)])
    records = await world.read(raw)
    for partition in range(3):
        mine = [record.value for record in records if record.partition == partition]
        assert mine == [b"%d:%d" % (turn, number) for turn in range(3) for number in range(partition, 30, 3)]
    assert (await values(world, cursors))[-1] == b"2"


async def test_who_started_before_is_refused_and_writes_nothing(world):
    topic, name = await world.topic("raw", 1), world.name(CONNECTOR)
    async with started(world, name) as first, started(world, world.name("m0-ingest-books")) as other:
        await first.send(said(topic, b"first"))
        async with started(world, name) as second:
            with pytest.raises(Fenced, match=name):
                await first.send(said(topic, b"late"))
            await second.send(said(topic, b"second"))
            await other.send(said(topic, b"other"))
    assert await values(world, topic) == [b"first", b"second", b"other"]


async def test_what_a_dead_writer_had_begun_is_aborted_by_its_successors_start(world):
    topic, name = await world.topic("raw", 1), world.name(CONNECTOR)
    await world.send(*said(topic, b"before"))
    dead = await world.transaction(name)
    await dead.send(*said(topic, b"half"))
    await dead.forget()
    await world.send(*said(topic, b"behind"))
    assert await values(world, topic) == [b"before"]  # nobody reads past an open transaction
    place = TopicPartition(topic, 0)
    written = (await world.broker.watermarks([place]))[place]
    assert ((await bounds(world.broker, [place])).ends[place], written) == (1, 3)
    async with started(world, name) as successor:
        assert (await bounds(world.broker, [place])).ends[place] >= written
        assert await values(world, topic) == [b"before", b"behind"]
        await successor.send(said(topic, b"after"))
    assert await values(world, topic) == [b"before", b"behind", b"after"]


async def test_what_a_predecessor_committed_can_be_read_when_its_successor_has_started(world):
    topic, name = await world.topic("raw", 1), world.name(CONNECTOR)
    for turn in range(5):
        async with started(world, name) as writer:
            place = TopicPartition(topic, 0)
            ends = (await bounds(world.broker, [place])).ends
            assert (await values(world, topic)) == [b"%d" % n for n in range(turn)]
            assert ends[place] >= turn
            await writer.send(said(topic, b"%d" % turn))


async def test_a_message_too_large_is_refused_whole_and_the_writer_goes_on(world):
    topic = await world.topic("raw", 1, max_message_bytes=2000)
    async with started(world, world.name(CONNECTOR)) as writer:
        with pytest.raises(MessageTooLarge, match="2000"):
            await writer.send(said(topic, b"small", b"x" * 3000))
        await writer.send(said(topic, b"small"))
    assert await values(world, topic) == [b"small"]


async def test_a_missing_partition_is_said_and_nothing_is_written(world):
    topic, name = await world.topic("raw", 1), world.name(CONNECTOR)
    async with started(world, name) as writer:
        with pytest.raises(Unavailable, match="does not exist"):
            await writer.send([*said(topic, b"here"), Produce(topic, 7, b"k", b"nowhere")])
        await writer.start()
        await writer.send(said(topic, b"after"))
    assert await values(world, topic) == [b"after"]


@pytest.mark.outage
async def test_after_a_failure_nothing_is_written_until_it_starts_again(world):
    topic, name = await world.topic("raw", 1), world.name(CONNECTOR)
    async with started(world, name) as writer:
        await writer.send(said(topic, b"first"))
        world.freeze()
        try:
            with pytest.raises(Unavailable):
                await writer.send(said(topic, b"uncertain"))
        finally:
            world.thaw()
        with pytest.raises(Unavailable, match="not started"):
            await writer.send(said(topic, b"too early"))
        await answered(writer.start)
        await writer.send(said(topic, b"last"))
    found = await answered(lambda: values(world, topic))
    assert [value for value in found if value != b"uncertain"] == [b"first", b"last"]
    assert len(found) <= 3


async def test_a_writer_that_is_stopped_in_the_middle_leaves_nothing_open(world):
    topic, name = await world.topic("raw", 1), world.name(CONNECTOR)
    async with started(world, name) as writer:
        await writer.send(said(topic, b"first"))
        sending = asyncio.create_task(writer.send(said(topic, *[b"%0900d" % n for n in range(3000)])))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    await world.send(*said(topic, b"behind"))
    async with asyncio.timeout(60):
        while (await values(world, topic))[-1] != b"behind":  # noqa: ASYNC110 - a broker that is asked for an abort
            await asyncio.sleep(0.1)
    assert len(await values(world, topic)) in {2, 3002}


async def test_an_empty_value_takes_a_key_out_of_a_compacted_topic(world):
    topic = await world.topic("cursors", 1, compacted=True)
    async with started(world, world.name(CONNECTOR)) as writer:
        await writer.send([Produce(topic, 0, b"k", b"v"), Produce(topic, 0, b"k", b"")])
    assert await values(world, topic) == [b"v", b""]


@pytest.mark.kafka
async def test_kafka_takes_an_empty_value_in_a_compacted_topic_for_null(kafka_world):
    from aiokafka import AIOKafkaConsumer

    topic = await kafka_world.topic("cursors", 1, compacted=True)
    await kafka_world.send(Produce(topic, 0, b"k", b""))
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka_world.broker_address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        assert (await asyncio.wait_for(consumer.getone(), 60)).value is None
    finally:
        await consumer.stop()
