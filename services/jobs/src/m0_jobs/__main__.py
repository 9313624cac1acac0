"""`python -m m0_jobs`: wait to lead, run the jobs, stop on SIGTERM."""

import contextlib
from pathlib import Path

from m0chain import Fees, Programs, Sender, node_client
from m0chain.keyfile import plain_key
from m0chain.pulse import beating
from m0common import settings
from m0common.clock import system_clock
from m0common.deployment import Deployment
from m0common.http import Status, status_server
from m0common.leases import rows
from m0common.process import run_service
from m0common.store import postgres
from m0common.store import pulse as store_pulse
from m0common.stream.kafka import KafkaBroker
from m0common.stream.kafka_options import KafkaOptions
from m0index.schema import Schema

from m0_jobs.app import NAME, Jobs
from m0_jobs.chain import RpcChain

NEEDS = ("deployment", "kafka", "stage", "postgres", "solana", "jobs", "keys_dir")


async def serve(config: settings.Settings) -> None:
    """Run until cancelled."""
    deployment = Deployment.of(config)
    programs = Programs.of(config)
    key = plain_key(Path(config.keys_dir) / "resolver.json")
    status = Status(NAME)
    async with contextlib.AsyncExitStack() as stack:
        server = status_server(status, config.bind or config.telemetry.prometheus_bind)
        await server.start()
        stack.push_async_callback(server.stop)
        client = await stack.enter_async_context(node_client(config.solana, programs))
        clock = system_clock(config.env)
        pulse = await stack.enter_async_context(beating(config.solana.rpc_url, clock.now_ms))
        status.ready["node"] = pulse.problem
        schema = Schema()
        database = await stack.enter_async_context(store_pulse.beating(config.postgres.dsn, NAME, schema.ask))
        status.ready["postgres"] = database.problem
        status.notes["schema"] = schema.note
        sender = Sender(client, Fees(micro_lamports_per_unit=config.solana.priority_fee_microlamports))
        broker = KafkaBroker(KafkaOptions.of(config.kafka, NAME))
        stack.push_async_callback(broker.close)
        pool = await stack.enter_async_context(postgres.opened(config.postgres, name=NAME, session=False))
        leases = await stack.enter_async_context(rows.opened(config.postgres, NAME))
        chain = RpcChain(client, sender, programs.oracle, programs.registry, key)
        jobs = Jobs(config, deployment, programs.oracle, programs.registry, pool, leases, broker, chain, clock, status)
        await jobs.run()


if __name__ == "__main__":
    run_service(NAME, NEEDS, serve)
