"""Topics as the catalogue wants them, and reading a topic to its end."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTransactionTimeout
from m0common.errors import OffsetsGone, SettingsError, Unavailable
from m0common.stream.broker import TopicPartition
from m0common.stream.follow import read_to_end
from m0common.stream.records import Produce
from m0common.topics import TOPICS, Topic


async def collect(batches):
    return [record async for batch in batches for record in batch]


async def test_all_topics_of_the_catalogue_can_be_created_and_created_again(world):
    await world.broker.create_topics(TOPICS, 3)
    await world.broker.create_topics(TOPICS, 3)
    for topic in TOPICS:
        assert await world.broker.partitions(topic.name) == (1 if topic.partitioned_by == "one" else 3)


async def test_a_cluster_has_one_id_whoever_asks(world):
    first = await world.broker.cluster()
    assert first
    assert await world.broker.cluster() == first


async def test_every_topic_has_the_deployments_count_or_one(world):
    topics = [Topic(world.name(kind), "key", kind, (), ()) for kind in ("group", "catalog", "market", "origin", "one")]
    await world.broker.create_topics(topics, 4)
    assert [await world.broker.partitions(topic.name) for topic in topics] == [4, 4, 4, 4, 1]


@pytest.mark.parametrize("count", [3, 1])
async def test_another_count_than_the_deployments_is_refused_before_anything_is_made(world, count):
    topic = await world.topic("count", 2)
    other = world.name("other")
    wanted = [Topic(other, "key", "group", (), ()), Topic(topic, "key", "group", (), ())]
    with pytest.raises(SettingsError, match=rf"{topic} has 2 partitions and {count} are.*set kafka.partitions = 2"):
        await world.broker.create_topics(wanted, count)
    with pytest.raises(Unavailable, match="does not exist"):
        await world.broker.partitions(other)


async def test_a_topic_of_one_partition_that_has_more_is_refused(world):
    topic = await world.topic("one", 2)
    with pytest.raises(SettingsError, match=f"{topic} has 2 partitions and 1 are configured: delete the topic"):
        await world.broker.create_topics([Topic(topic, "key", "one", (), ())], 2)


async def test_deleting_a_prefix_moves_the_beginning_and_nothing_else(world):
    topic = await world.topic("prefix", 3)
    await world.send(*(Produce(topic, n % 2, None, str(n).encode()) for n in range(20)))
    a, b, empty = (TopicPartition(topic, p) for p in range(3))
    await world.broker.delete_before({a: 4, b: 0, empty: 5})
    await world.broker.delete_before({a: 4})
    await world.broker.delete_before({a: 2})
    await world.broker.delete_before({})
    assert [(r.partition, r.offset) for r in await world.read(topic)] == [
        *((0, n) for n in range(4, 10)),
        *((1, n) for n in range(10)),
    ]


async def test_a_prefix_ends_at_the_end(world):
    topic = await world.topic("all", 1)
    await world.send(*(Produce(topic, 0, None, b"x") for _ in range(5)))
    await world.broker.delete_before({TopicPartition(topic, 0): 1000})
    assert await world.read(topic) == []
    await world.send(Produce(topic, 0, None, b"next"))
    assert [(r.offset, r.value) for r in await world.read(topic)] == [(5, b"next")]


async def test_deleting_of_what_does_not_exist_says_so(world):
    topic = await world.topic("exists", 2)
    for missing in (TopicPartition(topic, 2), TopicPartition(world.name("missing"), 0)):
        with pytest.raises(Unavailable, match="does not exist"):
            await world.broker.delete_before({missing: 1})


async def test_a_compacted_topic_has_no_prefix_to_delete(world):
    topic = await world.topic("compacted", 1, compacted=True)
    await world.send(Produce(topic, 0, b"k", b"x"))
    with pytest.raises(SettingsError, match="compacted"):
        await world.broker.delete_before({TopicPartition(topic, 0): 1})


async def test_reading_to_the_end_stops_at_the_end_that_was(world):
    topic = await world.topic("end", 3)
    await world.send(*(Produce(topic, n % 2, None, str(n).encode()) for n in range(50)))
    seen = []
    async for batch in read_to_end(world.broker, topic):
        seen += batch
        await world.send(Produce(topic, 0, None, b"later"))
    assert sorted(int(r.value) for r in seen) == list(range(50))
    part = await collect(read_to_end(world.broker, topic, [1], {1: 20}))
    assert [(r.partition, r.offset) for r in part] == [(1, n) for n in range(20, 25)]
    assert await collect(read_to_end(world.broker, topic, [2])) == []


async def test_reading_a_missing_topic_says_so(world):
    with pytest.raises(Unavailable, match="does not exist"):
        await collect(read_to_end(world.broker, world.name("missing")))


async def test_reading_from_a_start_that_is_gone_says_so(world):
    topic = await world.topic("gone", 2)
    await world.send(*(Produce(topic, n % 2, None, str(n).encode()) for n in range(20)))
    await world.broker.delete_before({TopicPartition(topic, 1): 6})
    with pytest.raises(OffsetsGone, match=f"{topic} partition 1: offset 5 is gone, the log holds 6 to 10"):
        await collect(read_to_end(world.broker, topic, starts={0: 3, 1: 5}))
    with pytest.raises(OffsetsGone, match="offset 11 is gone"):
        await collect(read_to_end(world.broker, topic, [1], starts={1: 11}))
    assert [r.offset for r in await collect(read_to_end(world.broker, topic, [1], starts={1: 6}))] == [6, 7, 8, 9]
    assert await collect(read_to_end(world.broker, topic, [1], starts={1: 10})) == []


async def test_an_open_transaction_holds_nobody_up_and_its_end_shows_what_stood_behind_it(world):
    topic = await world.topic("open", 1)
    await world.send(Produce(topic, 0, None, b"before"))
    transaction = await world.transaction()
    await transaction.send(Produce(topic, 0, None, b"inside"))
    await world.send(Produce(topic, 0, None, b"behind"))
    assert [r.value for r in await world.read(topic)] == [b"before"]
    assert await collect(read_to_end(world.broker, topic, starts={0: 1})) == []
    await transaction.commit()
    assert [r.value for r in await world.read(topic)] == [b"before", b"inside", b"behind"]


async def test_reading_to_an_end_of_aborted_records_comes_to_an_end(world):
    topic = await world.topic("aborted", 2)
    await world.send(Produce(topic, 0, None, b"kept"))
    for partition in (0, 1):
        transaction = await world.transaction()
        await transaction.send(*(Produce(topic, partition, None, b"never") for _ in range(3)))
        await transaction.abort()
    assert [r.value for r in await world.read(topic)] == [b"kept"]
    await world.send(Produce(topic, 1, None, b"later"))
    assert [(r.value, r.offset) for r in await world.read(topic)] == [(b"kept", 0), (b"later", 4)]


@pytest.mark.kafka
async def test_nobody_may_hold_up_the_readers_of_our_broker_for_longer_than_ten_seconds(kafka):
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, transactional_id="slow", transaction_timeout_ms=10_001
    )
    with pytest.raises(InvalidTransactionTimeout):
        await producer.start()
    await producer.stop()


@pytest.mark.kafka
async def test_a_topic_that_kafka_has_compacted_is_read_with_its_gaps(kafka_world):
    broker, name = kafka_world.broker, kafka_world.name("compacted")
    config = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "100"}
    await broker.create_topics([Topic(name, "key", "one", (), (), compacted=True, config=config)], 1)
    producer = broker.producer()
    await producer.start()
    deadline = asyncio.get_running_loop().time() + 40
    number = 0
    while True:
        await producer.send([Produce(name, 0, f"k{n}".encode(), str(number + n).encode()) for n in range(3)])
        number += 3
        records = await collect(read_to_end(broker, name))
        assert records[-1].offset == number - 1
        assert {r.key: int(r.value) for r in records} == {f"k{n}".encode(): number - 3 + n for n in range(3)}
        if len(records) < number and number > 6:
            break
        assert asyncio.get_running_loop().time() < deadline, "Kafka has not compacted the topic"
        await asyncio.sleep(0.5)
    await producer.stop()
