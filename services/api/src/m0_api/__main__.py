"""`python -m m0_api`: serve on M0_BIND until SIGTERM."""

import asyncio
import signal
import sys

import uvloop
from m0common import settings
from m0common.errors import M0Error
from m0common.http import HttpServer
from m0common.telemetry.logs import setup_logs
from m0common.telemetry.traces import setup_traces

from m0_api.app import create_app

NAME = "api"
DEFAULT_BIND = "127.0.0.1:8080"


async def _main() -> None:
    config = settings.load()
    setup_logs(NAME, config.telemetry.log_level)
    setup_traces(NAME, config.telemetry.otel_exporter_otlp_endpoint)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = HttpServer(create_app(config), config.bind or DEFAULT_BIND)
    await server.start()
    await stopped.wait()
    await server.stop()


if __name__ == "__main__":
    try:
        uvloop.run(_main())
    except M0Error as problem:
        sys.exit(f"{NAME}: {problem}")
