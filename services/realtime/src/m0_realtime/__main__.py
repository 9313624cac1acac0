"""`python -m m0_realtime`: listens on M0_BIND (127.0.0.1:8090), stops on SIGTERM."""

import asyncio
import contextlib
import signal
import sys

import uvloop
from m0common import settings
from m0common.clock import SystemClock
from m0common.errors import M0Error
from m0common.stream.kafka import KafkaBroker
from m0common.stream.kafka_options import KafkaOptions
from m0common.telemetry.logs import logger, setup_logs
from m0common.telemetry.traces import setup_traces

from m0_realtime.service import Realtime

NAME = "realtime"
DEFAULT_BIND = "127.0.0.1:8090"


async def serve() -> None:
    """Run until SIGTERM or SIGINT."""
    config = settings.load()
    setup_logs(NAME, config.telemetry.log_level)
    setup_traces(NAME, config.telemetry.otel_exporter_otlp_endpoint)
    broker = KafkaBroker(KafkaOptions.of(config.kafka, NAME))
    work = asyncio.create_task(Realtime(broker, config.bind or DEFAULT_BIND, SystemClock()).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await work
    finally:
        await broker.close()
    logger(__name__).info("stopped")


def main() -> int:
    """Exit code 0 after a signal, 1 with one sentence on an error."""
    code = 0
    try:
        uvloop.run(serve())
    except* M0Error as errors:
        for error in errors.exceptions:
            print(f"{NAME}: {error}", file=sys.stderr)
        code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
