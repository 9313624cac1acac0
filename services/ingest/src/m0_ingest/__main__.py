"""`python -m m0_ingest`: connectors, listing and the epoch clock."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from m0common import settings as m0settings
from m0common.clock import SystemClock
from m0common.errors import M0Error
from m0common.http import Status, status_server
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.telemetry.logs import logger, setup_logs
from m0common.telemetry.traces import setup_traces

from m0_ingest.service import Ingest, chain_registry

SERVICE = "ingest"


async def serve() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = m0settings.load()
    setup_logs(SERVICE, settings.telemetry.log_level)
    setup_traces(SERVICE, settings.telemetry.otel_exporter_otlp_endpoint)
    config = Path(os.environ.get("M0_CONFIG_PATH") or f"config/{settings.env}.toml")
    status = Status(SERVICE)
    async with AsyncExitStack() as stack:
        broker = KafkaBroker(KafkaOptions.of(settings.kafka, SERVICE))
        stack.push_async_callback(broker.close)
        registry = chain_registry(settings, stack)
        ingest = Ingest(settings, config.parent, broker, registry, SystemClock(), status)
        server = status_server(status, settings.telemetry.prometheus_bind)
        await server.start()
        stack.push_async_callback(server.stop)
        work = asyncio.create_task(ingest.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        try:
            await work
        except asyncio.CancelledError:
            logger(__name__).info("stopped")


def main() -> int:
    """Exit code 0 after a signal, 1 with one sentence on an error."""
    code = 0
    try:
        uvloop.run(serve())
    except* M0Error as errors:
        for error in errors.exceptions:
            print(f"ingest: {error}", file=sys.stderr)
        code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
