"""Run a process: status server, signals, composition, drain, exit code.

| exit code | when |
|---|---|
| 0 | it was told to stop, and did |
| 1 | an M0Error, named in one sentence; or something nobody foresaw, with a traceback; or a second signal |
| 2 | settings that cannot be used, named in one sentence |
"""

import contextlib
import faulthandler
import signal
import sys
from collections.abc import AsyncIterator, Collection, Iterator

import uvloop

from m0common.clock import system_clock
from m0common.errors import M0Error, SettingsError
from m0common.http import Status, status_server
from m0common.process.compose import Compose, EndsWithin, Process
from m0common.process.prepare import Name, prepared
from m0common.process.signals import heard
from m0common.settings import Settings
from m0common.telemetry.logs import logger

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2

_log = logger(__name__)


def run(name: Name, needs: Collection[str], compose: Compose, *, own_status: bool = False) -> None:
    """Run `compose` and what it begins until SIGTERM or SIGINT, then exit the process; `needs` as for `prepared`.

    With `own_status` it answers `/health`, `/ready` and `/metrics` itself, in an application of its own; where
    `telemetry.prometheus_bind` is set they are answered apart from that too.
    """
    try:
        service, settings = prepared(name, needs)
        clock = system_clock(settings.env)
    except SettingsError as error:
        print(f"{name if isinstance(name, str) else 'service'}: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    bind = status_bind(settings, own_status=own_status)

    async def main() -> int:
        process = Process(service, settings, clock)
        return await lived(process, compose, bind, _end_for_certain)

    sys.exit(uvloop.run(main()))


def status_bind(settings: Settings, *, own_status: bool) -> str | None:
    """Where a process answers `/health`, `/ready` and `/metrics` by a server of the runner; None: nowhere."""
    telemetry = settings.telemetry
    if not own_status:
        return settings.bind or telemetry.prometheus_bind
    apart = "prometheus_bind" in telemetry.model_fields_set and telemetry.prometheus_bind != settings.bind
    return telemetry.prometheus_bind if apart else None


async def lived(process: Process, compose: Compose, bind: str | None, ends_within: EndsWithin | None = None) -> int:
    """Run `process` beside its status server at `bind` (None: without one) until a signal; returns the exit code.

    `ends_within` as for `Process.live`.
    """

    def stop(number: signal.Signals) -> None:
        _log.info("stopping", signal=number.name, drain_ms=process.settings.drain_ms)
        process.stop()

    with heard(stop):
        try:
            async with _served(process.status, bind):
                await process.live(compose, ends_within)
        except Exception as error:  # noqa: BLE001 - what nobody foresaw ends the process
            return _said(error)
    _log.info("stopped")
    return EXIT_OK


@contextlib.asynccontextmanager
async def _served(status: Status, bind: str | None) -> AsyncIterator[None]:
    """Answer `/health`, `/ready` and `/metrics` at `bind`, as long as the block lasts."""
    if bind is None:
        yield
        return
    server = status_server(status, bind)
    await server.start()
    try:
        yield
    finally:
        server.stop()
        await server.run()


def _end_for_certain(within_s: float) -> None:
    """End this process after `within_s` whatever holds it, with the stacks of its threads; its exit code is 1."""
    faulthandler.dump_traceback_later(within_s, exit=True)


def _said(error: Exception) -> int:
    """Say what ended the process; returns its exit code."""
    errors = list(_flat(error))
    if not all(isinstance(each, M0Error) for each in errors):
        _log.error("crashed", exc_info=error)
        return EXIT_FAILED
    unusable = all(isinstance(each, SettingsError) for each in errors)
    for each in errors:
        _log.error("cannot_start" if unusable else "failed", reason=f"{type(each).__name__}: {each}")
    return EXIT_USAGE if unusable else EXIT_FAILED


def _flat(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _flat(each)
    else:
        yield error
