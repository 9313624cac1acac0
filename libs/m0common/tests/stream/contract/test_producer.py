"""What every broker promises to who writes."""

import asyncio

import pytest
from m0common.errors import MessageTooLarge, Unavailable
from m0common.stream.partition import partition_for, wire_bytes
from m0common.stream.records import Produce


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


async def test_key_value_and_headers_arrive_as_they_were_sent(world):
    topic = await world.topic("whole", 1)
    sent = [
        Produce(topic, 0, b"k", b"v", (("traceparent", b"00-ab"), ("empty", b""))),
        Produce(topic, 0, None, b"\x00\xff"),
        Produce(topic, 0, b"k", b""),
    ]
    await world.send(*sent)
    records = await world.read(topic)
    assert [Produce(r.topic, r.partition, r.key, r.value, r.headers) for r in records] == sent
    assert [r.offset for r in records] == [0, 1, 2]
    assert all(r.timestamp_ms > 0 for r in records)


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
    message = message._replace(value=b"x" * (50_000 - wire_bytes(message)))
    assert wire_bytes(message) == 50_000
    await world.send(message, message._replace(value=b"y" * len(message.value)))
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


async def test_acknowledged_messages_survive_the_death_of_the_broker(world):
    topic = await world.topic("durable", 2)
    await world.send(*numbered(topic, 500))
    world.break_down()
    await asyncio.to_thread(world.repair)
    assert len(await world.read(topic)) == 500


async def test_a_repeated_send_across_an_outage_loses_nothing_and_keeps_the_order(world):
    topic = await world.topic("outage", 2)
    producer = world.broker.producer()
    await producer.start()
    await producer.send(numbered(topic, 10))
    world.break_down()
    second = [m._replace(value=b"1" + m.value) for m in numbered(topic, 10)]
    with pytest.raises(Unavailable):
        await producer.send(second)
    await asyncio.to_thread(world.repair)
    for _ in range(30):
        try:
            await producer.send(second)
            break
        except Unavailable:
            await asyncio.sleep(0.2)
    await producer.send([m._replace(value=b"2" + m.value) for m in numbered(topic, 10)])
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
    await world.topic("again", 5, max_message_bytes=9000)
    assert await world.broker.partitions(topic) == 2
    await world.send(Produce(topic, 1, None, b"x" * 5000))
    assert len(await world.read(topic)) == 2


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
