"""A real Kafka into an archive, and read from there: transactions, headers, times, a broker that dies."""

import asyncio

import pytest
from archive_world import DEPLOYMENT
from m0archive import objects
from m0archive.broker import ArchiveBroker
from m0archive.collect import TOPICS, Collector
from m0archive.incarnation import newest
from m0archive.verify import verify
from m0common.clock import SystemClock
from m0common.errors import Unavailable
from m0common.leases.port import Lease
from m0common.stream.broker import TopicPartition
from m0common.stream.follow import bounds, read_to_end
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.records import Produce
from m0common.topics import CURSORS, RAW
from m0common.topics import TOPICS as CATALOGUE
from m0local.testing import broker_of, kafka_server, make_topics

pytestmark = pytest.mark.kafka
PARTITIONS = 2
TRACE = (("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    with kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        make_topics(KafkaOptions(server.bootstrap), CATALOGUE, PARTITIONS)
        yield server


async def nothing():
    return {}


async def fill(broker, store, fence):
    """As a new leader; how many records came."""
    lease = Lease("jobs", f"holder-{fence}", fence)
    collector, records = Collector(broker, store, lease, SystemClock(), nothing, 60_000, round_bytes=4000), 0
    try:
        await collector.open(DEPLOYMENT)
        while True:
            done = await collector.round()
            records += done.records
            if not done.more:
                return records
    finally:
        await collector.close()


async def rounds(collector):
    """One after the other, without an end of their own."""
    while True:
        await collector.round()


async def read(broker, topic):
    return sorted([r async for batch in read_to_end(broker, topic, allow_create_time=True) for r in batch])


async def test_what_kafka_holds_is_in_the_archive_by_the_same_offsets_and_times(kafka):
    store = objects.memory()
    async with broker_of(KafkaOptions(kafka.bootstrap)) as broker:
        writer = broker.transactions("m0-ingest-test")
        await writer.start()
        for number in range(12):
            raw = [Produce(RAW.name, p, b"k", b"%d" % (number * 10 + p), TRACE) for p in range(PARTITIONS)]
            await writer.send([*raw, Produce(CURSORS.name, 0, b"one", b"%d" % number)])
        await fill(broker, store, 1)
        await writer.send([Produce(RAW.name, 0, None, b"last")])
        assert await fill(broker, store, 2) == 1
        assert await fill(broker, store, 3) == 0
        archive = ArchiveBroker(await newest(store))
        assert await archive.cluster() == await broker.cluster()
        for topic in TOPICS:
            assert await read(archive, topic) == await read(broker, topic), topic
        places = [TopicPartition(RAW.name, p) for p in range(PARTITIONS)]
        assert await bounds(archive, places) == await bounds(broker, places)
        (first, *_) = await read(archive, RAW.name)
        assert (first.headers, first.append_ms > 0, first.offset) == (TRACE, True, 0)
        await writer.stop()
    assert (await verify(store, DEPLOYMENT)).faults == ()


async def test_a_broker_that_dies_costs_a_round_and_nothing_else(kafka):
    store = objects.memory()
    async with broker_of(KafkaOptions(kafka.bootstrap, request_timeout_ms=3000)) as broker:
        producer = broker.producer()
        await producer.start()
        await producer.send([Produce(RAW.name, 1, b"k", b"%d" % n) for n in range(500)])
        await producer.stop()
        collector = Collector(broker, store, Lease("jobs", "one", 1), SystemClock(), nothing, 60_000, round_bytes=4000)
        await collector.open(DEPLOYMENT)
        await collector.round()
        await asyncio.to_thread(kafka.kill)
        with pytest.raises(Unavailable):
            await rounds(collector)
        await collector.close()
        await asyncio.to_thread(kafka.start)
        async with asyncio.timeout(100):
            while True:
                try:
                    await fill(broker, store, 2)
                    break
                except Unavailable:
                    await asyncio.sleep(0.5)
        assert await read(ArchiveBroker(await newest(store)), RAW.name) == await read(broker, RAW.name)
    found = await verify(store, DEPLOYMENT)
    assert (found.faults, found.lacks) == ((), 0)
