"""What a service's main does around its loop."""

import asyncio
import os
import signal
import socket

import httpx2
import pytest
from m0common.deployment import Deployment
from m0common.ids import Lane
from m0common.process import EXIT_FAILED, EXIT_OK, EXIT_USAGE
from m0common.settings import Settings, Stage, Telemetry
from m0common.stream.loop import StageLoop
from m0common.stream.records import Produce
from m0common.stream.service import member_name, run_loop, serve
from m0common.topics import MANIFESTS, STATE
from stream_run import Echo, eventually


@pytest.fixture
def bind():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def settings(bind):
    return Settings(telemetry=Telemetry(prometheus_bind=bind))


async def get(bind, path):
    async with httpx2.AsyncClient() as client:
        return await client.get(f"http://{bind}{path}")


async def stage(memory):
    source, sink = await memory.topic("in", 1), await memory.topic("out", 1)
    name, settings = memory.name("echo"), Stage(poll_timeout_ms=20, commit_interval_ms=0)
    return source, StageLoop(Echo(source, sink, name), memory.broker, settings, group=name)


async def test_a_stage_serves_health_readiness_and_metrics_and_leaves_on_sigterm(memory, bind):
    await memory.broker.create_topics([MANIFESTS, STATE[2]], 1)
    source, loop = await stage(memory)
    task = asyncio.create_task(serve("echo", settings(bind), memory.broker, lambda: loop))
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
    assert "broker" in unready.json()["problems"]["echo"]
    assert (await get(bind, "/health")).status_code == 200
    memory.broker.faults.down = False
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(task, 60) == EXIT_OK


async def test_a_parked_lane_is_a_note_while_others_work(memory, bind):
    await memory.broker.create_topics([MANIFESTS, STATE[2]], 1)
    _, loop = await stage(memory)
    core = loop._core
    task = asyncio.create_task(serve("echo", settings(bind), memory.broker, lambda: loop))
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
    loop.stop()
    assert await asyncio.wait_for(task, 60) == EXIT_OK


async def test_a_mistake_ends_the_process_with_an_error(memory, bind):
    await memory.broker.create_topics([MANIFESTS, STATE[2]], 1)
    source, loop = await stage(memory)
    await memory.send(Produce(source, 0, b"k", b"bug"))
    code = await asyncio.wait_for(serve("echo", settings(bind), memory.broker, lambda: loop), 10)
    assert code == EXIT_FAILED


async def test_a_taken_port_is_a_usage_error(memory):
    await memory.broker.create_topics([MANIFESTS, STATE[2]], 1)
    _, loop = await stage(memory)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        assert await serve("toy", settings(bind), memory.broker, lambda: loop) == EXIT_USAGE


async def test_settings_that_lack_what_a_stage_needs_are_a_usage_error(memory, bind):
    code = await serve("toy", settings(bind), memory.broker, lambda: Deployment.of(Settings()))
    assert code == EXIT_USAGE


def test_a_missing_settings_file_is_one_sentence_and_a_usage_error(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("M0_CONFIG_PATH", str(tmp_path / "none.toml"))
    with pytest.raises(SystemExit) as caught:
        run_loop("toy", (), lambda settings, broker: None)
    assert caught.value.code == EXIT_USAGE
    assert "does not exist" in capsys.readouterr().err


def test_replicas_have_names_of_their_own_that_stay_the_same_after_a_restart(monkeypatch):
    monkeypatch.delenv("M0_REPLICA", raising=False)
    assert member_name("model") == member_name("model")
    first = member_name("model")
    monkeypatch.setenv("M0_REPLICA", "1")
    assert member_name("model") != first
