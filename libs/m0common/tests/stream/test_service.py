"""What a process that runs a loop says of itself."""

import asyncio
import contextlib
import os
import signal
import socket

import httpx2
import pytest
from m0common.clock import ManualClock
from m0common.ids import Lane
from m0common.process import EXIT_FAILED, EXIT_OK, Process, lived
from m0common.settings import Settings, Stage
from m0common.stream import loop as stage_loop
from m0common.stream.loop import StageLoop
from m0common.stream.records import Produce
from m0common.stream.service import begin_loop, member_name
from m0common.topics import MANIFESTS, STATE
from stream_run import Echo, eventually


@pytest.fixture
def bind():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def get(bind, path):
    async with httpx2.AsyncClient() as client:
        return await client.get(f"http://{bind}{path}")


async def stage(memory):
    source, sink = await memory.topic("in", 1), await memory.topic("out", 1)
    name, settings = memory.name("echo"), Stage(poll_timeout_ms=20, commit_interval_ms=0)
    return source, StageLoop(Echo(source, sink, name), memory.broker, settings, group=name)


@contextlib.asynccontextmanager
async def served(loop, bind):
    """A process that runs a loop beside its status server; told to stop with the block. Yields its task."""
    process = Process("echo", Settings(), ManualClock())

    async def compose(process):
        begin_loop(process, "echo", loop)

    task = asyncio.create_task(lived(process, compose, bind))
    try:
        yield task
    finally:
        process.stop()
        await asyncio.wait_for(task, 60)


async def test_a_stage_serves_health_readiness_and_metrics_and_leaves_on_sigterm(memory, bind, monkeypatch):
    # otherwise the next look at how far it lags may be what the broker refuses, before anybody has waited too long
    monkeypatch.setattr(stage_loop, "MEASURE_INTERVAL_S", 3600.0)
    await memory.broker.create_topics([MANIFESTS, STATE[2]], 1)
    source, loop = await stage(memory)
    async with served(loop, bind) as task:
        await eventually(lambda: loop.ready() is None)
        assert (await get(bind, "/health")).status_code == 200
        assert (await get(bind, "/ready")).status_code == 200
        await memory.send(Produce(source, 0, b"k", b"one"))
        await eventually(lambda: set(memory.broker.committed(memory.name("echo")).values()) == {1})
        text = (await get(bind, "/metrics")).text
        assert f'm0_stage_written_messages_total{{stage="{memory.name("echo")}"}} 1.0' in text
        assert "m0_stage_lag_messages" in text
        memory.broker.faults.down = True
        await eventually(lambda: loop.ready() is not None)
        unready = await get(bind, "/ready")
        assert unready.status_code == 503
        assert "no broker has answered about" in unready.json()["problems"]["echo"]
        assert (await get(bind, "/health")).status_code == 200
        memory.broker.faults.down = False
        os.kill(os.getpid(), signal.SIGTERM)
        assert await asyncio.wait_for(task, 60) == EXIT_OK


async def test_a_parked_lane_is_a_note_while_others_work(memory, bind):
    await memory.broker.create_topics([MANIFESTS, STATE[2]], 1)
    _, loop = await stage(memory)
    core = loop._core
    async with served(loop, bind):
        await eventually(lambda: loop.ready() is None)
        running = core.reports()
        core.reports = lambda: [*running, running[0]._replace(lane=Lane("other", 0), parked="a hole")]
        ready = await get(bind, "/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert ready.json()["notes"] == {"echo": "other/0: a hole"}
        core.reports = lambda: [running[0]._replace(parked="a hole")]
        ready = await get(bind, "/ready")
        assert ready.status_code == 503
        assert "every lane is parked: a hole" in ready.text


async def test_a_mistake_ends_the_process_with_an_error(memory, bind):
    await memory.broker.create_topics([MANIFESTS, STATE[2]], 1)
    source, loop = await stage(memory)
    await memory.send(Produce(source, 0, b"k", b"bug"))
    async with served(loop, bind) as task:
        assert await asyncio.wait_for(task, 60) == EXIT_FAILED


def test_replicas_have_names_of_their_own_that_stay_the_same_after_a_restart(monkeypatch):
    monkeypatch.delenv("M0_REPLICA", raising=False)
    assert member_name("model") == member_name("model")
    first = member_name("model")
    monkeypatch.setenv("M0_REPLICA", "1")
    assert member_name("model") != first
