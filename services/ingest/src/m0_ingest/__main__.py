"""`python -m m0_ingest`: connectors, listing and the epoch clock."""

from pathlib import Path

from m0chain import Programs, Registry, node_client
from m0chain.keyfile import plain_key
from m0chain.pulse import node_pulse
from m0common.leases import rows
from m0common.process import Process, run
from m0common.stream.service import broker_of
from m0lanes.domains import load_domains

from m0_ingest.chain import Chain
from m0_ingest.listing import ChainRegistry
from m0_ingest.service import Ingest, Keys

NAME = "ingest"
NEEDS = ("deployment", "kafka", "postgres", "solana", "keys_dir", "catalogs_dir", "catalogs")


async def compose(process: Process) -> None:
    """Every part of ingest on Kafka, Postgres' leases and a node."""
    settings = process.settings
    programs, folder = Programs.of(settings), Path(settings.keys_dir)
    registrar, keys = plain_key(folder / "registrar.json"), Keys.load(folder)
    broker = broker_of(process)
    client = await process.enter("the node", node_client(settings.solana, programs))
    top_up = settings.solana.cluster == "localnet"
    registry = ChainRegistry(client, Registry(programs.registry), registrar, top_up=top_up)
    pulse = await process.enter("the node's pulse", node_pulse(settings.solana.rpc_url, process.clock.now_ms))
    process.task("pulse of the node", pulse.run)
    process.status.ready["node"] = pulse.problem
    leases = await process.enter("the leases", rows.opened(settings.postgres, NAME))
    catalogs = Path(settings.catalogs_dir)
    ingest = Ingest(process, catalogs, broker, leases, registry, keys, load_domains(), Chain(client))
    await ingest.begin()


if __name__ == "__main__":
    run(NAME, NEEDS, compose)
