"""The stage loop under faults that only the memory broker can cause on purpose."""

import asyncio
import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from m0common.errors import LaneHole, MessageTooLarge
from m0common.messages import Marker
from m0common.stream.checkpoints import load_latest
from m0common.stream.core import CHECKPOINT_TOPIC
from m0common.stream.memory import MemoryBroker
from stream_toy import Adder, Interceptor, Killed, Toy, eventually, marker, number, positions, running
from stream_world import World


async def run_until_done(toy, loop):
    ends = await toy.ends()
    async with running(loop):
        await eventually(lambda: toy.seen_all(loop, ends))


async def test_a_send_whose_answer_is_lost_is_repeated_and_only_repeats(memory):
    toy = await Toy(memory).create()
    await toy.feed_epochs(range(3))
    memory.broker.faults.lose_acks = 4
    await run_until_done(toy, toy.loop())
    await toy.check(repeats=True)


async def test_refused_sends_are_repeated_until_they_succeed(memory):
    toy = await Toy(memory).create()
    await toy.feed_epochs(range(3))
    memory.broker.faults.refuse_sends = 4
    await run_until_done(toy, toy.loop())
    await toy.check(repeats=False)


async def test_a_slow_sink_holds_back_reading_and_drops_nothing(memory):
    toy = await Toy(memory).create(1)
    await toy.feed_epochs(range(8), partitions=(0,))
    memory.broker.faults.send_delay_s = 0.02
    read = []
    core = toy.core()
    feed = core.feed
    core.feed = lambda record: read.append(record.offset) or feed(record)
    loop = toy.loop(core=core)
    ends = await toy.ends()
    async with running(loop):
        while not toy.seen_all(loop, ends):
            assert len(read) - positions(loop).get(0, 0) <= 7
            await asyncio.sleep(0.003)
    await toy.check(repeats=False)


async def test_a_checkpoint_ahead_of_the_log_stops_the_stage(memory):
    toy = await Toy(memory).create(1)
    await toy.feed_epochs(range(2), partitions=(0,))
    await run_until_done(toy, toy.loop())
    log = memory.broker.topic(toy.source).logs[0]
    log.records, log.end_offset = log.records[:5], 5
    with pytest.raises(LaneHole, match="the log holds 0 to 5"):
        await asyncio.wait_for(toy.loop().run(), 5)


async def test_messages_deleted_before_they_were_read_stop_the_stage(memory):
    toy = await Toy(memory).create(1)
    await toy.feed_epochs(range(2), partitions=(0,))
    await run_until_done(toy, toy.loop())
    await toy.feed_epochs(range(2, 4), partitions=(0,))
    memory.broker.truncate(toy.source, 0, before=60)
    loop = toy.loop()
    with pytest.raises(LaneHole, match="messages are missing"):
        await asyncio.wait_for(loop.run(), 5)
    assert "messages are missing" in loop.ready()


async def test_a_restart_works_from_compacted_checkpoints(memory):
    toy = await Toy(memory).create()
    await toy.feed_epochs(range(5))
    await run_until_done(toy, toy.loop())
    memory.broker.compact(CHECKPOINT_TOPIC)
    assert len(await load_latest(memory.broker, toy.stage, [0, 1])) == 4
    await toy.feed_epochs(range(5, 7))
    await run_until_done(toy, toy.loop())
    await toy.check(repeats=False)


async def test_checkpoints_of_partitions_beyond_the_topics_own_count_are_found(memory):
    toy = await Toy(memory).create(8)  # the checkpoint topic has three partitions
    await toy.feed_epochs(range(2), partitions=range(8))
    await run_until_done(toy, toy.loop())
    for partition in range(8):
        latest = await load_latest(memory.broker, toy.stage, [partition])
        assert [(c.catalog, c.partition) for c in latest] == [("a", partition), ("b", partition)]


async def test_an_output_above_the_topics_limit_stops_the_stage_before_anything_later_is_written(memory):
    toy = await Toy(memory).create(1)

    class Huge(Adder):
        def step(self, body):
            if not isinstance(body, Marker) and body.market_id == "9":
                return [number("9" * 2_000_000)]
            return super().step(body)

    await toy.feed(number(1))
    await run_until_done(toy, toy.loop(core=toy.core(Huge)))
    await toy.feed(number(9), number(1), marker(0))
    with pytest.raises(MessageTooLarge):
        await asyncio.wait_for(toy.loop(core=toy.core(Huge)).run(), 5)
    assert len(await toy.written()) == 2


async def test_stopping_during_an_outage_gives_up_after_the_grace_period_and_loses_nothing(memory):
    toy = await Toy(memory).create()
    await toy.feed_epochs(range(2))
    loop = toy.loop(drain_grace_ms=200)
    memory.broker.faults.refuse_sends = 1_000_000
    async with running(loop):
        await eventually(lambda: "refused" in (loop.ready() or ""))
        since = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - since < 2
    assert memory.broker.committed(memory.name("group")) == {}
    memory.broker.faults.refuse_sends = 0
    await run_until_done(toy, toy.loop())
    await toy.check(repeats=False)


async def test_offsets_are_committed_no_more_often_than_asked_for(memory):
    toy = await Toy(memory).create(1)
    await toy.feed_epochs(range(10), partitions=(0,))
    watched = Interceptor(memory.broker)
    await run_until_done(toy, toy.loop(broker=watched, commit_interval_ms=60_000))
    assert [kind for kind, _ in watched.calls].count("commit") == 2  # the first batch and the stop


async def test_a_drain_without_its_marker_ends_with_the_grace_period(memory):
    toy = await Toy(memory).create(1)
    loop = toy.loop(drain_grace_ms=600)
    async with running(loop):
        for epoch in range(2):
            await toy.feed(number(1), marker(epoch))
            ends = await toy.ends()
            await eventually(lambda ends=ends: toy.seen_all(loop, ends))
        since = asyncio.get_running_loop().time()
        loop.stop()
        await toy.feed(number(5))
        await asyncio.sleep(0.4)
    took = asyncio.get_running_loop().time() - since
    assert 0.5 < took < 3
    await toy.check(repeats=False)


async def test_traces_continue_through_a_stage_when_tracing_is_on(memory, monkeypatch):
    from m0common.telemetry import traces
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider()
    monkeypatch.setitem(traces._state, "on", True)
    monkeypatch.setattr(traces.trace, "get_tracer", provider.get_tracer)
    toy = await Toy(memory).create(1)
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    message = toy.message("a", 0, number(1))
    await memory.send(message._replace(headers=(("traceparent", parent.encode()), ("origin", b"x"))))
    await run_until_done(toy, toy.loop())
    headers = [dict(r.headers) for r in await toy.written()]
    for header in headers:
        assert header["origin"] == b"x"
        _, trace_id, span_id, _ = header["traceparent"].decode().split("-")
        assert trace_id == parent.split("-")[1]
        assert span_id != parent.split("-")[2]


@given(
    kills=st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=5),
    batch=st.integers(1, 40),
    per_epoch=st.integers(0, 6),
    faults=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    compact=st.booleans(),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_dies_whenever_the_outputs_are_those_of_the_core_alone(kills, batch, per_epoch, faults, compact):
    async def scenario():
        world = World(MemoryBroker(session_timeout_s=0.1))
        toy = await Toy(world, batch_records=batch, poll_timeout_ms=5, drain_grace_ms=0).create()
        await toy.feed_epochs(range(3), per_epoch=per_epoch)
        world.broker.faults.refuse_sends, world.broker.faults.lose_acks = faults
        ends = await toy.ends()
        for write, after in kills:
            loop = toy.loop(broker=Interceptor(world.broker, write, after=after))
            task = asyncio.create_task(loop.run())
            await eventually(lambda task=task, loop=loop: task.done() or toy.seen_all(loop, ends))
            loop.stop()
            with contextlib.suppress(Killed):
                await task
            if compact:
                world.broker.compact(CHECKPOINT_TOPIC)
        await run_until_done(toy, toy.loop())
        await toy.check()

    asyncio.run(scenario())
