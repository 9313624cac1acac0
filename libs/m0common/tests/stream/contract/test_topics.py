"""Topics as the catalogue wants them, and reading a topic to its end."""

import asyncio

import pytest
from m0common.errors import Unavailable
from m0common.stream.reader import read_to_end
from m0common.stream.records import Produce
from m0common.topics import TOPICS, Topic


async def collect(batches):
    return [record async for batch in batches for record in batch]


async def test_all_topics_of_the_catalogue_can_be_created_and_created_again(world):
    await world.broker.create_topics(TOPICS, 3, 2)
    await world.broker.create_topics(TOPICS, 3, 2)
    for topic in TOPICS:
        if topic.partitioned_by == "one":
            assert await world.broker.partitions(topic.name) == 1


async def test_partitions_follow_what_a_topic_is_partitioned_by(world):
    topics = [Topic(world.name(kind), "key", kind, (), ()) for kind in ("group", "catalog", "one")]
    await world.broker.create_topics(topics, 4, 3)
    assert [await world.broker.partitions(topic.name) for topic in topics] == [4, 3, 1]


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


@pytest.mark.kafka
async def test_kafka_gets_the_settings_of_the_catalogue_and_their_changes(kafka, tmp_path):
    from m0common.stream.kafka import KafkaBroker, KafkaOptions
    from m0common.stream.kafka_admin import open_admin

    options = KafkaOptions(kafka.bootstrap, "test")
    broker = KafkaBroker(options)
    name = f"settings-{tmp_path.name}"
    await broker.create_topics([Topic(name, "key", "one", (), (), compacted=True, max_message_bytes=5000)], 1, 1)
    async with open_admin(options) as admin:
        found = (await admin.settings([name]))[name]
    assert found["cleanup.policy"] == "compact"
    assert found["max.message.bytes"] == "5000"
    await broker.create_topics([Topic(name, "key", "one", (), (), retention_ms=1234)], 1, 1)
    async with open_admin(options) as admin:
        found = (await admin.settings([name]))[name]
    assert (found["cleanup.policy"], found["retention.ms"]) == ("delete", "1234")


@pytest.mark.kafka
async def test_a_topic_that_kafka_has_compacted_is_read_with_its_gaps(kafka, tmp_path):
    from m0common.stream.kafka import KafkaBroker, KafkaOptions

    broker = KafkaBroker(KafkaOptions(kafka.bootstrap, "test"))
    name = f"compacted-{tmp_path.name}"
    config = {"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "100"}
    await broker.create_topics([Topic(name, "key", "one", (), (), compacted=True, config=config)], 1, 1)
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
