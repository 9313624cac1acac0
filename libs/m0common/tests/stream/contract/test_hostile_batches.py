"""What Apache Kafka stores and no reader may stop at."""

import time

import cramjam
import pytest
from batches import BAD_HEADERS, GOOD_HEADERS, batch, record, send_batch
from m0common.stream.broker import AT_BEGINNING, TopicPartition
from m0common.stream.records import Produce

pytestmark = pytest.mark.kafka
TRACED = (("traceparent", b"1"),)


async def read(consumer, count, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    records = []
    while len(records) < count and time.monotonic() < deadline:
        records += await consumer.getmany(count - len(records), 200)
    return records


async def as_reader(world, topic, count, start=AT_BEGINNING):
    consumer = world.broker.consumer()
    await consumer.start()
    await consumer.assign({TopicPartition(topic, 0): start})
    records = await read(consumer, count)
    position = consumer.position(TopicPartition(topic, 0))
    await consumer.stop()
    return records, position


async def as_member(world, topic, count):
    async def from_committed(_):
        return {}

    async def given_back(_):
        return None

    consumer = world.broker.consumer(group=world.name("g"))
    await consumer.start()
    await consumer.subscribe([topic], from_committed, given_back)
    records = await read(consumer, count)
    position = consumer.position(TopicPartition(topic, 0))
    await consumer.stop()
    return records, position


async def surrounded(world, stored):
    """A topic with `stored` between two ordinary messages."""
    topic = await world.topic("hostile", 1)
    await world.send(Produce(topic, 0, b"k", b"before", TRACED))
    assert await send_batch(world.broker_address, topic, stored) == 0, "the broker stores it"
    await world.send(Produce(topic, 0, b"k", b"after", TRACED))
    return topic


@pytest.mark.parametrize("read_as", [as_reader, as_member])
async def test_a_header_name_that_is_not_utf_8_costs_the_record_its_headers_and_stops_nobody(kafka_world, read_as):
    topic = await surrounded(kafka_world, batch(record(0, b"odd", BAD_HEADERS), 1))
    records, position = await read_as(kafka_world, topic, 3)
    assert [(r.offset, r.key, r.value, r.headers) for r in records] == [
        (0, b"k", b"before", TRACED),
        (1, b"k", b"odd", ()),
        (2, b"k", b"after", TRACED),
    ]
    assert position == 3


@pytest.mark.parametrize("start", range(1, 4))
async def test_the_records_beside_it_in_its_batch_are_all_read_wherever_reading_begins(kafka_world, start):
    packed = b"".join([record(0, b"a"), record(1, b"b", BAD_HEADERS), record(2, b"c")])
    topic = await surrounded(kafka_world, batch(packed, 3))
    records, _ = await as_reader(kafka_world, topic, 5 - start, start)
    expected = [(1, b"a", TRACED), (2, b"b", ()), (3, b"c", ()), (4, b"after", TRACED)]
    assert [(r.offset, r.value, r.headers) for r in records] == expected[start - 1 :]


@pytest.mark.parametrize("read_as", [as_reader, as_member])
async def test_an_attribute_that_nobody_defined_stops_nobody(kafka_world, read_as):
    topic = await surrounded(kafka_world, batch(record(0, b"odd", GOOD_HEADERS, attributes=0x80), 1))
    records, _ = await read_as(kafka_world, topic, 3)
    assert [(r.offset, r.value) for r in records] == [(0, b"before"), (1, b"odd"), (2, b"after")]


async def test_a_negative_number_of_headers_is_refused_by_the_broker(kafka_world):
    topic = await kafka_world.topic("negative", 1)
    assert await send_batch(kafka_world.broker_address, topic, batch(record(0, b"x", [], header_count=-1), 1)) != 0


@pytest.mark.parametrize("read_as", [as_reader, as_member])
async def test_a_batch_that_unpacks_to_more_than_any_message_is_one_record_without_a_value(kafka_world, read_as):
    bomb = bytes(cramjam.zstd.compress(record(0, bytes(40 << 20)) + record(1, b"x")))
    topic = await surrounded(kafka_world, batch(bomb, 2, codec=4))
    records, position = await read_as(kafka_world, topic, 3)
    assert [(r.offset, r.value, r.headers) for r in records] == [
        (0, b"before", TRACED),
        (2, b"", ()),
        (3, b"after", TRACED),
    ]
    assert position == 4
