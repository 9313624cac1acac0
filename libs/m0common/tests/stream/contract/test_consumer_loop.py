"""What the loop of services that are not lanes promises, on every broker."""

import asyncio

import msgspec
import pytest
from m0common.errors import DeadLetterError, Unavailable
from m0common.messages import DeadLetter
from m0common.settings import Stage
from m0common.stream.broker import TopicPartition
from m0common.stream.consumer_loop import ConsumerLoop, Elsewhere
from m0common.stream.metrics import StageMetrics
from m0common.stream.records import Produce
from m0common.topics import DLQ
from prometheus_client import REGISTRY
from stream_run import answered, eventually, running

SETTINGS = Stage(batch_records=10, poll_timeout_ms=100, commit_interval_ms=0, stuck_after_ms=20_000)


def make(world, topics, handler, settings=SETTINGS, **options):
    options = {"group": world.name("group"), **options}
    return ConsumerLoop(world.name("service"), topics, handler, world.broker, settings, **options)


def messages(topic, count, start=0):
    return [Produce(topic, n % 2, b"k", str(n).encode()) for n in range(start, start + count)]


class Sink:
    def __init__(self):
        self.values = []

    async def __call__(self, records):
        self.values += [int(r.value) for r in records]


async def test_everything_is_handed_over_and_not_again_after_a_clean_stop(world):
    one, two = await world.topic("one"), await world.topic("two")
    sink = Sink()
    await world.send(*messages(one, 20), *messages(two, 20, 100))
    async with running(make(world, [one, two], sink)):
        await eventually(lambda: len(sink.values) >= 40)
    await world.send(*messages(one, 5, 50))
    async with running(make(world, [one, two], sink)):
        await eventually(lambda: len(sink.values) >= 45)
    assert sorted(sink.values) == [*range(20), *range(50, 55), *range(100, 120)]


async def test_a_batch_whose_handler_was_killed_is_handed_over_again(world):
    topic = await world.topic("killed")
    await world.send(*messages(topic, 5))
    handed = asyncio.Event()

    async def hang(records):
        handed.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(make(world, [topic], hang, member=world.name("m")).run())
    await asyncio.wait_for(handed.wait(), 20)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sink = Sink()
    async with running(make(world, [topic], sink, member=world.name("m"))):
        await eventually(lambda: len(sink.values) >= 5)
    assert sorted(sink.values) == list(range(5))


async def test_an_unavailable_dependency_is_tried_again_with_the_same_batch(world):
    topic = await world.topic("retry")
    await world.send(*messages(topic, 4))
    sink, failures = Sink(), []

    async def handler(records):
        if len(failures) < 2:
            failures.append(loop.ready())
            raise Unavailable("postgres is away")
        await sink(records)

    loop = make(world, [topic], handler)
    async with running(loop):
        await eventually(lambda: len(sink.values) >= 4)
        await eventually(lambda: loop.ready() is None)
    assert failures[1] == "postgres is away"
    assert sorted(sink.values) == list(range(4))


async def test_a_handler_puts_a_message_aside_and_too_many_stop_the_loop(world):
    topic = await world.topic("aside")
    await world.topic("warm")
    await world.broker.create_topics([DLQ], 3)
    await world.send(*messages(topic, 300))

    async def handler(records):
        for record in records:
            await loop.dead_letter(record, DeadLetterError("no", "never"))

    loop = make(world, [topic], handler)
    async with running(loop):
        await eventually(lambda: "has stopped" in (loop.ready() or ""))
    letters = [msgspec.msgpack.decode(r.value, type=DeadLetter) for r in await world.read(DLQ.name)]
    mine = [letter for letter in letters if letter.topic == topic]
    assert len(mine) == 100
    assert {letter.error for letter in mine} == {"no"}


@pytest.mark.outage
async def test_a_broker_that_keeps_its_connections_and_says_nothing_is_seen_by_readiness(world):
    topic, sink, commits = await world.topic("silent"), Sink(), {"stage": world.name("service")}
    loop = make(world, [topic], sink, SETTINGS.model_copy(update={"commit_interval_ms": 3_600_000}))
    await world.send(*messages(topic, 4))
    async with running(loop):
        await eventually(lambda: len(sink.values) >= 4 and loop.ready() is None)
        # a commit under way would say in words of its own that it gets no answer
        await eventually(lambda: REGISTRY.get_sample_value("m0_stage_commit_seconds_count", commits) == 1)
        world.freeze()
        try:
            await eventually(lambda: "no broker has answered" in (loop.ready() or ""))
        finally:
            world.thaw()
        await eventually(lambda: loop.ready() is None)
        await answered(lambda: world.send(*messages(topic, 2, 4)))
        await eventually(lambda: set(sink.values) >= set(range(6)) and loop.ready() is None)


async def test_a_topic_that_strangers_write_cannot_stop_its_reader(world):
    topic, sink = await world.topic("strangers"), Sink()
    await world.broker.create_topics([DLQ], 3)

    async def handler(records):
        for record in records:
            if record.value == b"bad":
                await loop.dead_letter(record, DeadLetterError("bad", "not a number"), limited=False)
            else:
                await sink([record])

    loop = make(world, [topic], handler)
    await world.send(*[Produce(topic, 0, b"k", b"bad")] * 250, *messages(topic, 2))
    async with running(loop):
        await eventually(lambda: len(sink.values) >= 2)
        assert loop.ready() is None


async def test_what_the_log_has_lost_is_passed_over_loudly_and_the_rest_is_handed_over(world):
    topic, sink = await world.topic("lost"), Sink()
    metrics = StageMetrics(world.name("lost"))
    loops = [
        ConsumerLoop(world.name("service"), [topic], sink, world.broker, SETTINGS, metrics, group=world.name("group"))
        for _ in range(2)
    ]
    await world.send(*messages(topic, 10))
    async with running(loops[0]):
        await eventually(lambda: len(sink.values) >= 10)
    await world.send(*messages(topic, 10, 10))
    await world.broker.delete_before({TopicPartition(topic, 0): 8})
    async with running(loops[1]):
        await eventually(lambda: len(sink.values) >= 17)
        await world.send(*messages(topic, 2, 20))
        await eventually(lambda: len(sink.values) >= 19)
    assert sorted(sink.values) == sorted([*range(10), *range(11, 20, 2), 16, 18, 20, 21])
    assert REGISTRY.get_sample_value("m0_stage_gaps_total", {"stage": world.name("lost")}) == 1


class Stood:
    """A reader whose positions lie with its effects: the values that it kept."""

    def __init__(self):
        self.values, self.next = [], {}
        self.asked = 0

    async def starts(self, places):
        self.asked += 1
        return {where: self.next[where] for where in places if where in self.next}

    async def look(self):
        pass

    def keep(self, record):
        self.values.append(int(record.value))
        self.next[TopicPartition(record.topic, record.partition)] = record.offset + 1


async def test_it_begins_where_the_reader_stands_and_not_where_the_group_committed(world):
    topic = await world.topic("stood")
    await world.send(*messages(topic, 20))
    reader, group = Stood(), world.name("group")

    async def keep(records):
        for record in records:
            reader.keep(record)

    async with running(make(world, [topic], keep, group=group, positions=reader)):
        await eventually(lambda: len(reader.values) >= 20)
    reader.values.clear()
    reader.next = {TopicPartition(topic, 0): 4}  # and nothing of the other one
    async with running(make(world, [topic], keep, group=group, positions=reader)):
        await eventually(lambda: len(reader.values) >= 16)
    assert sorted(reader.values) == sorted([*range(8, 20, 2), *range(1, 20, 2)])


async def test_what_a_reader_lost_is_read_again_from_where_it_stands(world):
    topic = await world.topic("lost")
    await world.send(*messages(topic, 20))
    reader = Stood()
    empty = asyncio.Event()

    async def keep(records):
        for record in records:
            if empty.is_set():
                empty.clear()
                reader.values.clear()
                reader.next.clear()
                raise Elsewhere("reader", TopicPartition(record.topic, record.partition), record.offset)
            reader.keep(record)

    async with running(make(world, [topic], keep, positions=reader)):
        await eventually(lambda: len(reader.values) >= 20)
        empty.set()
        await world.send(*messages(topic, 4, 20))
        await eventually(lambda: len(reader.values) >= 24)
    assert sorted(reader.values) == list(range(24))


async def test_two_processes_under_one_name_say_that_they_are_two(world):
    topic, name = await world.topic("twins"), world.name("m")
    first, second = (make(world, [topic], Sink(), member=name) for _ in range(2))
    async with running(first):
        await eventually(lambda: first.ready() is None)
        async with running(second):
            # Apache Kafka lets them take turns, the memory broker the second alone
            await eventually(lambda: said(first, name), 90)
            await eventually(lambda: second.ready() is None or said(second, name))


@pytest.mark.kafka
async def test_of_two_processes_under_one_name_the_one_that_is_left_goes_on(kafka_world):
    topic, name, sink = await kafka_world.topic("left"), kafka_world.name("m"), Sink()
    first, second = (make(kafka_world, [topic], sink, member=name) for _ in range(2))
    async with running(first):
        async with running(second):
            await eventually(lambda: said(first, name) and said(second, name), 90)
        await kafka_world.send(*messages(topic, 4))
        await eventually(lambda: {0, 1, 2, 3} <= set(sink.values), 60)
        await eventually(lambda: first.ready() is None, 60)


def said(loop, name):
    return f"another process runs as {name} too" in (loop.ready() or "")
