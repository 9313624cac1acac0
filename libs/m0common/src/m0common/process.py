"""What every service's process does first and last: settings, logs, traces, signals, exit code."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Collection

import uvloop

from m0common.errors import M0Error, SettingsError
from m0common.preflight import refuse_unfit, secrets
from m0common.secret import scrubber
from m0common.settings import Settings, load
from m0common.telemetry.logs import logger, setup_logs
from m0common.telemetry.traces import setup_traces

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
SIGNALS = (signal.SIGTERM, signal.SIGINT)

GC_THRESHOLDS = (20_000, 20, 20)
"""A batch makes thousands of objects that die with it: collecting every 700 of them costs a twentieth of the CPU."""

Name = str | Callable[[Settings], str]
"""A service's name, or how to find it in the settings."""


def prepared(name: Name, needs: Collection[str]) -> Settings:
    """The settings, with logs, traces and garbage collection set up; `needs` are the tables and settings it uses.

    Settings that cannot be used end the process with one sentence.
    """
    try:
        settings = load()
        refuse_unfit(settings, needs)
    except SettingsError as error:
        print(f"{name if isinstance(name, str) else 'service'}: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    service = name if isinstance(name, str) else name(settings)
    setup_logs(service, settings.telemetry.log_level, scrubber(secrets(settings)))
    endpoint = settings.telemetry.otel_exporter_otlp_endpoint.reveal()
    setup_traces(service, endpoint, settings.deployment.genesis_hash)
    tune_gc()
    return settings


def tune_gc() -> None:
    """Set the garbage collector up for batch work, and leave out of its sight what was imported."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def run_service(name: Name, needs: Collection[str], serve: Callable[[Settings], Awaitable[None]]) -> None:
    """Run `serve` until it ends or SIGTERM or SIGINT cancels it, then exit the process; `needs` as for `prepared`.

    Exit code 0 after a signal, 1 with one sentence on an M0Error, 2 on settings that cannot be used.
    """
    settings = prepared(name, needs)
    scrub = scrubber(secrets(settings))
    code = EXIT_OK
    try:
        uvloop.run(_until_signal(serve, settings))
    except* SettingsError as errors:
        code = EXIT_USAGE
        _say(errors, scrub)
    except* M0Error as errors:
        code = EXIT_FAILED
        _say(errors, scrub)
    except* Exception:  # noqa: BLE001 - what nobody foresaw ends the process
        code = EXIT_FAILED
        logger(__name__).exception("crashed")  # by the log, which shows no secret
    sys.exit(code)


async def _until_signal(serve: Callable[[Settings], Awaitable[None]], settings: Settings) -> None:
    work = asyncio.ensure_future(serve(settings))
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    logger(__name__).info("stopped")


def _say(errors: BaseExceptionGroup[M0Error], scrub: Callable[[str], str]) -> None:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            _say(error, scrub)
        else:
            print(scrub(f"{type(error).__name__}: {error}"), file=sys.stderr)
