"""Clients of a Kafka that is not whole yet."""

import asyncio
import contextlib
import struct

import pytest
from aiokafka.protocol.admin import ApiVersionResponse_v0, ApiVersionResponse_v1
from aiokafka.protocol.metadata import MetadataResponse_v0
from m0common.errors import Unavailable
from m0common.stream.broker import TopicPartition
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.stream.records import Produce

pytestmark = pytest.mark.loopback
API_VERSIONS, METADATA = 18, 3
PRODUCE, INIT_PRODUCER_ID = 0, 22
PLACE = TopicPartition("m0.raw", 0)


async def answer(reader, writer):
    """A node that nobody has registered yet, as one is that was stopped for longer than its session: it names none."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            size = struct.unpack(">i", await reader.readexactly(4))[0]
            key, version, correlation = struct.unpack(">hhi", (await reader.readexactly(size))[:8])
            body = metadata() if key == METADATA else versions(version)
            writer.write(struct.pack(">ii", len(body) + 4, correlation) + body)


def metadata():
    return MetadataResponse_v0([], []).encode()


def versions(version):
    able = [(PRODUCE, 0, 3), (METADATA, 0, 0), (INIT_PRODUCER_ID, 0, 0), (API_VERSIONS, 0, 2)]
    return (ApiVersionResponse_v1(0, able, 0) if version else ApiVersionResponse_v0(0, able)).encode()


@pytest.fixture
async def broker():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield KafkaBroker(KafkaOptions(f"127.0.0.1:{port}", request_timeout_ms=1000, send_timeout_ms=1500))
    server.close()


async def transaction(broker):
    writer = broker.transactions("m0-ingest-toy")
    try:
        await writer.start()
    finally:
        await writer.stop()


async def send(broker):
    producer = broker.producer()
    try:
        await producer.send([Produce(PLACE.topic, 0, b"k", b"v")])
    finally:
        await producer.stop()


async def read_in_group(broker):
    consumer = broker.consumer(group="m0-toy")
    try:
        await consumer.start()
        await consumer.subscribe([PLACE.topic], nothing, nothing)
        await consumer.getmany(1, 1000)
    finally:
        await consumer.stop()


async def nothing(_partitions):
    return None


async def bounds(broker):
    await broker.watermarks([PLACE])


async def delete(broker):
    await broker.delete_before({PLACE: 1})


@pytest.mark.parametrize("use", [transaction, send, read_in_group, bounds, delete])
async def test_a_node_that_knows_no_broker_is_unavailable(broker, use):
    with pytest.raises(Unavailable):
        async with asyncio.timeout(20):
            await use(broker)


async def test_who_reads_from_such_a_node_has_heard_nothing(broker):
    consumer = broker.consumer()
    try:
        await consumer.start()
        await consumer.assign({PLACE: 0})
        assert await consumer.getmany(1, 100) == []
        assert consumer.heard(PLACE) is None
    finally:
        await consumer.stop()
