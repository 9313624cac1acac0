"""What a service's `__main__` calls: settings, logs, traces, health server, broker, signals, exit code.

if __name__ == "__main__":
    run_stage("normalize", lambda settings: normalize_core())
"""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import uvloop

from m0common.errors import M0Error, SettingsError
from m0common.http import Status, status_server
from m0common.process import EXIT_FAILED, EXIT_OK, EXIT_USAGE, SIGNALS, prepared
from m0common.settings import Settings
from m0common.stream.broker import Broker
from m0common.stream.core import StageCore
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.stream.loop import StageLoop
from m0common.telemetry.logs import logger

log = logger(__name__)

STAGE_NEEDS = ("deployment", "kafka", "stage")
"""What a lane stage is told."""


class Loop(Protocol):
    """What runs until it is stopped: StageLoop, ConsumerLoop, or a service's own."""

    def ready(self) -> str | None: ...

    def notes(self) -> str | None: ...

    def healthy(self) -> str | None: ...

    def stop(self) -> None: ...

    async def run(self) -> None: ...


def member_name(service: str) -> str:
    """The static member name of this process: the same after a restart, different for each replica.

    Replicas on one machine are told apart by M0_REPLICA; in containers the host name does it.
    """
    return f"{service}-{socket.gethostname()}-{os.environ.get('M0_REPLICA', '0')}"


def run_stage(name: str, core: Callable[[Settings], StageCore]) -> None:
    """Run a lane stage until SIGTERM or SIGINT, then exit the process with its code."""

    def loop(settings: Settings, broker: Broker) -> StageLoop:
        made = core(settings)
        # builds run side by side, each as a group of its own
        group = f"m0-{name}-{made.build.hex()[:10]}"
        return StageLoop(made, broker, settings.stage, group=group, member=member_name(name))

    run_loop(name, STAGE_NEEDS, loop)


def run_loop(name: str, needs: Collection[str], make: Callable[[Settings, Broker], Loop]) -> None:
    """Run any loop until SIGTERM or SIGINT, then exit the process with its code; `needs` as for `prepared`."""
    settings = prepared(name, needs)
    broker = KafkaBroker(KafkaOptions.of(settings.kafka, name))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(serve(name, settings, broker, lambda: make(settings, broker))))


async def serve(name: str, settings: Settings, broker: Broker, make: Callable[[], Loop]) -> int:
    """Run one loop beside its health server; returns the exit code."""
    try:
        loop = make()
    except SettingsError as error:
        return _cannot_start(name, error)
    status = Status(name)
    status.health[name] = loop.healthy
    status.ready[name] = loop.ready
    status.notes[name] = loop.notes
    http = status_server(status, settings.bind or settings.telemetry.prometheus_bind)
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, loop.stop)
    try:
        await http.start()
    except SettingsError as error:
        return _cannot_start(name, error)
    try:
        log.info("started", service=name, bind=settings.bind or settings.telemetry.prometheus_bind)
        return await _run(name, loop.run)
    finally:
        await http.stop()
        await broker.close()


def _cannot_start(name: str, error: SettingsError) -> int:
    log.error("cannot_start", service=name, reason=str(error))
    return EXIT_USAGE


async def _run(name: str, run: Callable[[], Awaitable[None]]) -> int:
    try:
        await run()
    except M0Error as error:
        log.error("failed", service=name, reason=str(error))  # noqa: TRY400 - a sentence for the operator
        return EXIT_FAILED
    except Exception:
        log.exception("crashed", service=name)
        return EXIT_FAILED
    log.info("stopped", service=name)
    return EXIT_OK
