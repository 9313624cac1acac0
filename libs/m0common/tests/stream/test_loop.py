"""What the stage loop does around any core. With the real ones it is tested beside them, in m0lanes."""

import asyncio
import time

import pytest
from m0common.errors import MessageTooLarge
from m0common.settings import Stage
from m0common.stream.loop import StageLoop
from m0common.stream.records import Produce
from m0common.stream.turns import SLICE_S
from m0common.telemetry.otel import OpenTelemetry
from m0common.telemetry.traces import trace_with
from m0common.topics import DLQ, MANIFESTS, STATE
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from stream_run import Echo, eventually, running

SETTINGS = Stage(poll_timeout_ms=20, commit_interval_ms=0)


class Order:
    """A broker that notes every write and commit, in order."""

    def __init__(self, broker) -> None:
        self._broker = broker
        self.calls = []

    def __getattr__(self, name):
        return getattr(self._broker, name)

    def producer(self):
        return Noted(self._broker.producer(), "send", self.calls)

    def consumer(self, **names):
        return Noted(self._broker.consumer(**names), "commit", self.calls)


class Noted:
    def __init__(self, inner, method, calls) -> None:
        self._inner = inner

        async def call(what):
            result = await getattr(inner, method)(what)
            calls.append(("commit", what) if method == "commit" else (what[0].topic, len(what)))
            return result

        setattr(self, method, call)

    def __getattr__(self, name):
        return getattr(self._inner, name)


async def topics(world, partitions=1):
    await world.broker.create_topics([STATE[2], MANIFESTS, DLQ], 3)
    return await world.topic("in", partitions), await world.topic("out", partitions)


def loop_of(world, source, sink, broker=None, **changes):
    settings = SETTINGS.model_copy(update=changes)
    return StageLoop(Echo(source, sink), broker or world.broker, settings, group=world.name("echo"))


async def send(world, topic, *values, headers=()):
    await world.send(*(Produce(topic, 0, b"k", value, headers) for value in values))


async def test_what_is_said_is_acknowledged_before_the_state_the_manifest_and_the_offset(memory):
    source, sink = await topics(memory)
    await send(memory, source, b"one", b"two cut", b"three")
    order = Order(memory.broker)
    async with running(loop_of(memory, source, sink, order)):
        await eventually(lambda: order.calls and order.calls[-1][0] == "commit")
    assert [kind for kind, _ in order.calls[:4]] == [sink, STATE[2].name, MANIFESTS.name, "commit"]
    assert list(order.calls[3][1].values()) == [3]


async def test_checkpoints_of_one_batch_are_written_before_their_state_is_too_much_to_keep(memory):
    source, sink = await topics(memory)
    await send(memory, source, *(b"%d heavy cut" % number for number in range(5)))
    order = Order(memory.broker)
    async with running(loop_of(memory, source, sink, order)):
        await eventually(lambda: order.calls and order.calls[-1][0] == "commit")
    two, one = ([(sink, n), (STATE[2].name, 5 * n), (MANIFESTS.name, n)] for n in (2, 1))
    assert order.calls[:-1] == [*two, *two, *one]


async def test_offsets_are_committed_no_more_often_than_asked_for(memory):
    source, sink = await topics(memory)
    order = Order(memory.broker)
    async with running(loop_of(memory, source, sink, order, commit_interval_ms=60_000)):
        for number in range(5):
            await send(memory, source, b"%d" % number)
            await asyncio.sleep(0.05)
    assert [kind for kind, _ in order.calls].count("commit") == 2, "the first batch and the stop"


async def test_what_came_before_a_broken_transition_is_not_lost(memory):
    source, sink = await topics(memory)
    await send(memory, source, b"one", b"two", b"a bug", b"four")
    with pytest.raises(RuntimeError, match="a stage with a bug"):
        await asyncio.wait_for(loop_of(memory, source, sink).run(), 5)
    assert [record.value for record in await memory.read(sink)] == [b"one", b"two"]
    assert set(memory.broker.committed(memory.name("echo")).values()) == {2}


async def test_an_output_above_the_topics_limit_stops_the_stage_before_anything_later_is_written(memory):
    source, sink = await topics(memory)
    await send(memory, source, b"one")
    async with running(loop_of(memory, source, sink)):
        await eventually(lambda: len(memory.broker.log(sink, 0)) == 1)
    await send(memory, source, b"huge", b"three")
    with pytest.raises(MessageTooLarge):
        await asyncio.wait_for(loop_of(memory, source, sink).run(), 5)
    assert len(await memory.read(sink)) == 1


async def test_the_trace_travels_with_what_it_caused_and_no_other_header(world):
    source, sink = await topics(world)
    await send(world, source, b"one", headers=(("origin", b"here"), ("traceparent", b"00-1"), ("weight", b"x" * 9_000)))
    async with running(loop_of(world, source, sink)):

        async def said():
            return len(await world.read(sink)) == 1

        await eventually(said)
    assert (await world.read(sink))[0].headers == (("traceparent", b"00-1"),)


async def test_a_header_heavier_than_any_topic_takes_stops_no_stage(world):
    source, sink = await topics(world)
    await world.send_compressed(Produce(source, 0, None, b"one", (("weight", bytes(3 << 20)),)))
    await send(world, source, b"two")
    async with running(loop_of(world, source, sink)):

        async def said():
            return [record.value for record in await world.read(sink)] == [b"one", b"two"]

        await eventually(said)


@pytest.fixture
def traced():
    trace_with(OpenTelemetry("stage", SimpleSpanProcessor(InMemorySpanExporter())))
    yield
    trace_with(None)


@pytest.mark.usefixtures("traced")
async def test_traces_continue_through_a_stage_when_tracing_is_on(memory):
    source, sink = await topics(memory)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await send(memory, source, b"one", headers=(("traceparent", parent.encode()),))
    async with running(loop_of(memory, source, sink)):
        await eventually(lambda: memory.broker.log(sink, 0))
    header = dict((await memory.read(sink))[0].headers)
    _, trace_id, span_id, _ = header["traceparent"].decode().split("-")
    assert trace_id == parent.split("-")[1]
    assert span_id != parent.split("-")[2]


class Slow(Echo):
    """Takes longer for every record than a turn of the loop may last."""

    def __init__(self, source, sink):
        super().__init__(source, sink)
        self.fed = 0

    def feed(self, record, only=None):
        time.sleep(2 * SLICE_S)
        self.fed += 1
        return super().feed(record, only)


async def test_others_have_a_turn_behind_every_record_that_took_long(memory):
    source, sink = await topics(memory)
    values = [b"%d" % number for number in range(8)]
    await send(memory, source, *values)
    core, seen = Slow(source, sink), set()

    async def other():
        while True:
            seen.add(core.fed)
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    async with running(StageLoop(core, memory.broker, SETTINGS, group=memory.name("slow"))):
        await eventually(lambda: len(memory.broker.log(sink, 0)) == len(values))
    beside.cancel()
    assert seen == set(range(len(values) + 1))
    assert [record.value for record in await memory.read(sink)] == values
