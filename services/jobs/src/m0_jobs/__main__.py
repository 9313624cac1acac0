"""`python -m m0_jobs`: wait to lead, run the jobs, stop on SIGTERM."""

from pathlib import Path

from m0archive.objects import opened
from m0chain import Fees, Programs, Sender, node_client
from m0chain.keyfile import plain_key
from m0chain.pulse import node_pulse
from m0common.deployment import Deployment
from m0common.leases import rows
from m0common.process import Process, run
from m0common.store import postgres
from m0common.store.pulse import database_pulse
from m0common.stream.service import broker_of
from m0index.schema import Schema

from m0_jobs.chain import RpcChain
from m0_jobs.service import NAME, Jobs

NEEDS = ("deployment", "kafka", "stage", "postgres", "solana", "jobs", "archive", "catalogs", "keys_dir")


async def compose(process: Process) -> None:
    """The jobs on Postgres, Kafka and a node."""
    config, clock, status = process.settings, process.clock, process.status
    deployment, programs = Deployment.of(config), Programs.of(config)
    key = plain_key(Path(config.keys_dir) / "resolver.json")
    client = await process.enter("the node", node_client(config.solana, programs))
    node = await process.enter("the node's pulse", node_pulse(config.solana.rpc_url, clock.now_ms))
    process.task("pulse of the node", node.run)
    status.ready["node"] = node.problem
    schema = Schema()
    database = await process.enter("Postgres' pulse", database_pulse(config.postgres.dsn, NAME, schema.ask))
    process.task("pulse of Postgres", database.run)
    status.ready["postgres"] = database.problem
    status.notes["schema"] = schema.note
    sender = Sender(client, Fees(micro_lamports_per_unit=config.solana.priority_fee_microlamports))
    broker = broker_of(process)
    pool = await process.enter("Postgres", postgres.opened(config.postgres, name=NAME, session=False))
    leases = await process.enter("the leases", rows.opened(config.postgres, NAME))
    chain = RpcChain(client, sender, programs.oracle, programs.registry, key)
    archive = opened(config.archive) if config.archive.url else None
    jobs = Jobs(
        config, deployment, programs.oracle, programs.registry, pool, leases, broker, chain, clock, status, archive
    )
    process.task("lead", jobs.run)


if __name__ == "__main__":
    run(NAME, NEEDS, compose)
