"""`python -m m0_indexer`: migrate, index, serve health on M0_BIND or M0_PROMETHEUS_BIND, stop on SIGTERM."""

from m0chain import Programs
from m0chain.pulse import node_pulse
from m0common.process import Process, run
from m0common.store import postgres
from m0common.store.pulse import database_pulse
from m0common.stream.broker import Broker
from m0common.stream.service import broker_of, member_name
from m0index.schema import Schema

from m0_indexer.chain import NodeChain
from m0_indexer.prepare import Preparation
from m0_indexer.service import Indexer

NAME = "indexer"
NEEDS = ("deployment", "kafka", "stage", "postgres", "solana")


async def compose(process: Process) -> None:
    """The index of a node, a log and a Postgres; waits until that can be indexed."""
    await compose_on(process, broker_of(process))


async def compose_on(process: Process, broker: Broker) -> None:
    """The same on any broker."""
    settings, status, clock = process.settings, process.status, process.clock
    programs, schema, chain = Programs.of(settings), Schema(), NodeChain(settings.solana)
    process.closes("the node", chain.close)
    pool = await process.enter("Postgres", postgres.opened(settings.postgres, name=NAME))
    node = await process.enter("the node's pulse", node_pulse(settings.solana.rpc_url, clock.now_ms))
    process.task("pulse of the node", node.run)
    database = await process.enter("Postgres' pulse", database_pulse(settings.postgres.dsn, NAME, schema.ask))
    process.task("pulse of Postgres", database.run)
    preparation = Preparation(settings.postgres.dsn, schema, pool, chain, broker, clock)
    status.ready |= {"node": node.problem, "postgres": database.problem, "index": lambda: preparation.problem}
    status.notes["schema"] = schema.note
    with process.waits("the index"):
        await preparation.make()
    process.task("schema", preparation.keep)
    Indexer(programs, chain, pool, broker, settings.solana.ws_url, member_name(NAME)).begin(process)


if __name__ == "__main__":
    run(NAME, NEEDS, compose)
