"""`python -m m0_indexer`: migrate, index, serve health, stop on SIGTERM."""

import asyncio
import contextlib
import signal
import sys

from m0common import settings
from m0common.clock import SystemClock
from m0common.errors import M0Error, Unavailable
from m0common.http import Status, status_server
from m0common.store import migrations, postgres
from m0common.stream.kafka import KafkaBroker
from m0common.stream.kafka_options import KafkaOptions
from m0common.telemetry.logs import logger, setup_logs
from m0common.telemetry.traces import setup_traces

from m0_indexer.app import Indexer, programs
from m0_indexer.chain import NodeChain

NAME = "indexer"
_log = logger(__name__)


async def _migrated(dsn: str) -> None:
    while True:
        try:
            await asyncio.to_thread(migrations.upgrade, dsn)
        except Unavailable as error:
            _log.warning("database_away", error=str(error))
            await asyncio.sleep(1.0)
        else:
            return


async def serve(config: settings.Settings) -> None:
    """Run until cancelled."""
    status = Status(NAME)
    async with contextlib.AsyncExitStack() as stack:
        server = status_server(status, config.telemetry.prometheus_bind)
        await server.start()
        stack.push_async_callback(server.stop)
        await _migrated(config.postgres.dsn)
        chain = NodeChain(config.solana.rpc_url)
        stack.push_async_callback(chain.close)
        broker = KafkaBroker(KafkaOptions.of(config.kafka, NAME))
        stack.push_async_callback(broker.close)
        pool = await stack.enter_async_context(
            postgres.opened(config.postgres.dsn, name=NAME, max_size=config.postgres.pool_max)
        )
        indexer = Indexer(programs(config), chain, pool, broker, SystemClock(), status, config.solana.ws_url)
        await indexer.run()


async def _main() -> None:
    config = settings.load()
    setup_logs(NAME, config.telemetry.log_level)
    setup_traces(NAME, config.telemetry.otel_exporter_otlp_endpoint)
    work = asyncio.create_task(serve(config))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


if __name__ == "__main__":
    try:
        asyncio.run(_main())
    except M0Error as problem:
        sys.exit(f"{NAME}: {problem}")
