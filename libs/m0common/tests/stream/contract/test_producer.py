"""What every broker promises to who writes."""

import asyncio

import pytest
from m0common.errors import MessageTooLarge, SettingsError, Unavailable
from m0common.stream.broker import TopicPartition, Written
from m0common.stream.kafka_bounds import Bounds
from m0common.stream.kafka_written import NOT_SAID, Batch, ranges
from m0common.stream.partition import partition_for, wire_bytes
from m0common.stream.records import Produce
from msgspec.structs import replace


def numbered(topic, count, partitions=2, size=0):
    return [Produce(topic, n % partitions, f"k{n}".encode(), f"{n}".encode().rjust(size, b"0")) for n in range(count)]


async def test_messages_keep_their_order_within_a_partition(world):
    topic = await world.topic("order", 3)
    await world.send(*numbered(topic, 300, 3))
    await world.send(*numbered(topic, 300, 3))
    records = await world.read(topic)
    for partition in range(3):
        values = [int(r.value) for r in records if r.partition == partition]
        assert values == [n for n in range(300) if n % 3 == partition] * 2


async def test_key_value_and_trace_arrive_as_they_were_sent(world):
    topic = await world.topic("whole", 1)
    sent = [
        Produce(topic, 0, b"k", b"v", (("traceparent", b"00-ab"),)),
        Produce(topic, 0, None, b"\x00\xff"),
        Produce(topic, 0, b"k", b""),
    ]
    await world.send(*sent)
    records = await world.read(topic)
    assert [Produce(r.topic, r.partition, r.key, r.value, r.headers) for r in records] == sent
    assert [r.offset for r in records] == [0, 1, 2]
    assert all(r.append_ms > 0 for r in records)


async def test_a_send_of_nothing_does_nothing(world):
    await world.send()


async def test_a_large_send_is_split_into_batches_without_losing_or_reordering(world):
    topic = await world.topic("large", 2, max_message_bytes=100_000)
    sent = numbered(topic, 400, 2, size=4000)
    await world.send(*sent)
    records = await world.read(topic)
    assert [r.value for r in records] == [m.value for p in (0, 1) for m in sent if m.partition == p]


async def test_a_message_above_the_limit_is_refused_naming_topic_size_and_limit(world):
    topic = await world.topic("limit", 1, max_message_bytes=2000)
    huge = Produce(topic, 0, b"k", b"x" * 5000)
    with pytest.raises(MessageTooLarge) as caught:
        await world.send(Produce(topic, 0, b"k", b"before"), huge)
    assert topic in str(caught.value)
    assert str(wire_bytes(huge)) in str(caught.value)
    assert "2000" in str(caught.value)
    await world.send(Produce(topic, 0, b"k", b"after"))
    assert [r.value for r in await world.read(topic)] == [b"after"]


async def test_a_message_at_the_limit_is_taken(world):
    topic = await world.topic("edge", 1, max_message_bytes=50_000)
    message = Produce(topic, 0, b"k", b"")
    message = replace(message, value=b"x" * (50_000 - wire_bytes(message)))
    assert wire_bytes(message) == 50_000
    await world.send(message, replace(message, value=b"y" * len(message.value)))
    assert len(await world.read(topic)) == 2


async def test_a_producer_goes_on_after_a_refused_message(world):
    topic = await world.topic("after", 2, max_message_bytes=2000)
    producer = world.broker.producer()
    await producer.start()
    await producer.send(numbered(topic, 10))
    with pytest.raises(MessageTooLarge):
        await producer.send([Produce(topic, 0, None, b"x" * 3000)])
    await producer.send(numbered(topic, 10))
    await producer.stop()
    assert len(await world.read(topic)) == 20


async def test_a_limit_that_was_lowered_meanwhile_is_reported_and_the_producer_goes_on(world):
    topic = await world.topic("lowered", 2, max_message_bytes=9000)
    producer = world.broker.producer()
    await producer.start()
    await producer.send([Produce(topic, 0, None, b"x" * 5000)])
    await world.topic("lowered", 2, max_message_bytes=2000)
    with pytest.raises(MessageTooLarge, match=topic):
        await producer.send([Produce(topic, 0, None, b"x" * 5000)])
    await producer.send(numbered(topic, 10))
    await producer.send(numbered(topic, 10))
    await producer.stop()
    assert len(await world.read(topic)) == 21


async def test_sending_to_a_missing_topic_says_so(world):
    with pytest.raises(Unavailable, match="does not exist"):
        await world.send(Produce(world.name("missing"), 0, None, b"x"))
    with pytest.raises(Unavailable, match="does not exist"):
        await world.broker.partitions(world.name("missing"))


async def test_sending_to_a_missing_partition_says_so(world):
    topic = await world.topic("few", 2)
    with pytest.raises(Unavailable, match="does not exist"):
        await world.send(Produce(topic, 7, None, b"x"))


@pytest.mark.outage
async def test_acknowledged_messages_survive_the_death_of_the_broker(world):
    topic = await world.topic("durable", 2)
    await world.send(*numbered(topic, 500))
    world.break_down()
    await asyncio.to_thread(world.repair)
    assert len(await world.read(topic)) == 500


@pytest.mark.outage
async def test_a_repeated_send_across_an_outage_loses_nothing_and_keeps_the_order(world):
    topic = await world.topic("outage", 2)
    producer = world.broker.producer()
    await producer.start()
    await producer.send(numbered(topic, 10))
    world.break_down()
    second = [replace(m, value=b"1" + m.value) for m in numbered(topic, 10)]
    with pytest.raises(Unavailable):
        await producer.send(second)
    await asyncio.to_thread(world.repair)
    for _ in range(30):
        try:
            written = await producer.send(second)
            break
        except Unavailable:
            await asyncio.sleep(0.2)
    assert written == {TopicPartition(topic, p): Written(5, 10) for p in (0, 1)}
    await producer.send([replace(m, value=b"2" + m.value) for m in numbered(topic, 10)])
    await producer.stop()
    records = await world.read(topic)
    for partition in (0, 1):
        values = [r.value for r in records if r.partition == partition]
        own = [m.value for m in numbered(topic, 10) if m.partition == partition]
        # once each: what was repeated after the time-out was still on its way
        assert values == own + [b"1" + v for v in own] + [b"2" + v for v in own]


async def test_creating_topics_again_changes_their_settings_and_keeps_their_records(world):
    topic = await world.topic("again", 2, max_message_bytes=2000)
    await world.send(Produce(topic, 0, None, b"kept"))
    await world.topic("again", 2, max_message_bytes=9000)

    async def fits():
        try:
            await world.send(Produce(topic, 1, None, b"x" * 5000))
        except MessageTooLarge:
            return False
        return True

    async with asyncio.timeout(30):  # a broker goes by a setting a moment after it has taken it
        while not await fits():  # noqa: ASYNC110 - a broker, not an event
            await asyncio.sleep(0.1)
    assert len(await world.read(topic)) == 2


async def test_a_send_says_where_its_messages_are(world):
    topic, other = await world.topic("where", 3), await world.topic("other", 1)
    producer = world.broker.producer()
    await producer.start()
    assert await producer.send([]) == {}
    assert await producer.send(numbered(topic, 10)) == {
        TopicPartition(topic, 0): Written(0, 5),
        TopicPartition(topic, 1): Written(0, 5),
    }
    assert await producer.send([*numbered(topic, 3), Produce(other, 0, None, b"x")]) == {
        TopicPartition(topic, 0): Written(5, 7),
        TopicPartition(topic, 1): Written(5, 6),
        TopicPartition(other, 0): Written(0, 1),
    }
    await producer.stop()


async def test_a_send_of_many_batches_is_one_range(world):
    topic = await world.topic("batches", 2)
    producer = world.broker.producer()
    await producer.start()
    await producer.send(numbered(topic, 6))
    written = await producer.send(numbered(topic, 1000, size=4000))
    await producer.stop()
    assert written == {TopicPartition(topic, p): Written(3, 503) for p in (0, 1)}
    records = [r for r in await world.read(topic) if 3 <= r.offset < 503]
    assert [int(r.value) for r in records] == [*range(0, 1000, 2), *range(1, 1000, 2)]


async def test_a_range_spans_what_others_write_meanwhile(world):
    topic = await world.topic("others", 1)
    producers = [world.broker.producer() for _ in range(3)]
    for producer in producers:
        await producer.start()

    async def write(number):
        key = str(number).encode()
        sent = [replace(message, key=key) for message in numbered(topic, 400, 1, size=4000)]
        return (await producers[number].send(sent))[TopicPartition(topic, 0)]

    spans = await asyncio.gather(*(write(number) for number in range(3)))
    records = await world.read(topic)
    for number, span in enumerate(spans):
        own = [r.offset for r in records if r.key == str(number).encode()]
        assert (own[0], own[-1] + 1) == span
        assert len(own) == 400
    for producer in producers:
        await producer.stop()


def test_a_range_that_the_broker_does_not_say_is_bounded_by_the_log():
    a, b = TopicPartition("t", 0), TopicPartition("t", 1)
    bounds = {a: Bounds(3, 90)}
    assert ranges([Batch(a, 10, NOT_SAID), Batch(b, 7, 20), Batch(a, 5, 60)], bounds) == {
        a: Written(3, 65),
        b: Written(20, 27),
    }
    assert ranges([Batch(a, 10, 40), Batch(a, 5, NOT_SAID)], bounds) == {a: Written(40, 90)}
    assert ranges([Batch(a, 10, 40), Batch(a, 5, NOT_SAID), Batch(a, 1, 70)], bounds) == {a: Written(40, 71)}


@pytest.mark.parametrize("part", ["key", "value", "header", "header name", "headers"])
async def test_whatever_part_of_a_message_is_too_large_it_is_refused_and_nothing_is_written(world, part):
    topic = await world.topic("parts", 1, max_message_bytes=600_000)
    huge = {
        "key": Produce(topic, 0, b"k" * 600_000, b"x"),
        "value": Produce(topic, 0, None, b"x" * 600_000),
        "header": Produce(topic, 0, None, b"x", (("h", b"x" * 600_000),)),
        "header name": Produce(topic, 0, None, b"x", (("\N{SNOWMAN}" * 200_000, b""),)),
        "headers": Produce(topic, 0, None, b"x", (("h", b"x" * 3),) * 50_000),
    }[part]
    with pytest.raises(MessageTooLarge, match="600000"):
        await world.send(Produce(topic, 0, None, b"before"), huge)
    assert await world.read(topic) == []


async def test_a_limit_that_was_raised_meanwhile_is_noticed(world):
    topic = await world.topic("raised", 1, max_message_bytes=2000)
    producer = world.broker.producer()
    await producer.start()
    with pytest.raises(MessageTooLarge):
        await producer.send([Produce(topic, 0, None, b"x" * 3000)])
    await world.topic("raised", 1, max_message_bytes=9000)
    async with asyncio.timeout(20):
        while True:  # a broker hears of it a moment after its controller has said that it is so
            try:
                await producer.send([Produce(topic, 0, None, b"x" * 3000)])
                break
            except MessageTooLarge:
                await asyncio.sleep(0.1)
    await producer.stop()
    assert len(await world.read(topic)) == 1


@pytest.mark.kafka
async def test_a_producer_that_does_not_number_its_batches_is_refused(kafka_world):
    from aiokafka import AIOKafkaProducer
    from m0common.stream.kafka_producer import refuse_without_sequence

    for idempotent in (True, False):
        inner = AIOKafkaProducer(bootstrap_servers=kafka_world.broker.options.bootstrap, enable_idempotence=idempotent)
        await inner.start()
        if idempotent:
            refuse_without_sequence(inner)
        else:
            with pytest.raises(SettingsError, match="not idempotent"):
                refuse_without_sequence(inner)
        await inner.stop()


def test_keys_go_to_the_partition_that_kafkas_default_partitioner_chooses():
    # from Kafka's own UtilsTest.testMurmur2
    expected = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        bytes([ord("a"), ord("b"), ord("c")]): 479470107,
    }
    for key, hashed in expected.items():
        for partitions in (1, 2, 7, 12):
            assert partition_for(key, partitions) == (hashed & 0x7FFFFFFF) % partitions
