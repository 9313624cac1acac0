"""`python -m m0_ingest`: connectors, listing and the epoch clock."""

from contextlib import AsyncExitStack
from pathlib import Path

from m0chain.pulse import beating
from m0common.clock import system_clock
from m0common.http import Status, status_server
from m0common.leases import rows
from m0common.process import run_service
from m0common.settings import Settings
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0lanes.domains import load_domains

from m0_ingest.chain import chain_parts
from m0_ingest.service import Ingest, Keys

SERVICE = "ingest"
NEEDS = ("deployment", "kafka", "postgres", "solana", "keys_dir", "catalogs_dir", "catalogs")


async def serve(settings: Settings) -> None:
    """Run until cancelled."""
    status = Status(SERVICE)
    async with AsyncExitStack() as stack:
        broker = KafkaBroker(KafkaOptions.of(settings.kafka, SERVICE))
        stack.push_async_callback(broker.close)
        registry, chain = chain_parts(settings, stack)
        keys = Keys.load(Path(settings.keys_dir))
        clock = system_clock(settings.env)
        pulse = await stack.enter_async_context(beating(settings.solana.rpc_url, clock.now_ms))
        status.ready["node"] = pulse.problem
        leases = await stack.enter_async_context(rows.opened(settings.postgres, SERVICE))
        ingest = Ingest(
            settings, Path(settings.catalogs_dir), broker, leases, registry, keys, load_domains(), clock, status, chain
        )
        server = status_server(status, settings.telemetry.prometheus_bind)
        await server.start()
        stack.push_async_callback(server.stop)
        await ingest.run()


if __name__ == "__main__":
    run_service(SERVICE, NEEDS, serve)
