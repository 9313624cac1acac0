"""The indexer put together: what runs, and which of it may fail alone."""

import asyncio
import contextlib
from dataclasses import dataclass
from functools import partial

from m0chain import Programs
from m0chain.idl import ORACLE, REGISTRY
from m0common.errors import SettingsError
from m0common.process import Process
from m0common.secret import SecretUrl
from m0common.store.postgres import Pool, transaction
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.follow import Follower, bounds
from m0common.stream.service import begin_loop
from m0common.topics import REGISTRY as REGISTRY_TOPIC
from m0index.apply import registry_envelope
from m0index.tables import entities, history, outbox
from m0index.tables.history import Cursor
from solders.pubkey import Pubkey

from m0_indexer.chain import Chain, wakes
from m0_indexer.consume import BundleStore, bundle_loop
from m0_indexer.follow import ProgramFollower
from m0_indexer.provisional import ProvisionalStore, read
from m0_indexer.publish import Publisher
from m0_indexer.reconcile import Reconciler
from m0_indexer.sweep import Sweeper

GENESIS = "genesis"


async def check_chain(pool: Pool, chain: Chain, now_ms: int) -> None:
    """Refuse to mix two chains in one database. Raises SettingsError."""
    genesis = await chain.genesis()
    async with transaction(pool) as connection:
        known = await history.cursor(connection, GENESIS)
        if known is None:
            await history.move_cursor(connection, GENESIS, Cursor(genesis, 0), now_ms)
        elif known.signature != genesis:
            raise SettingsError(
                f"this database indexes the chain {known.signature}, the node serves {genesis}: "
                "use an empty database, or point M0_RPC_URL at the old chain"
            )


async def repeat_registry_if_lost(pool: Pool, broker: Broker, now_ms: int) -> int:
    """Publish every market again when the registry topic is empty; how many."""
    await broker.partitions(REGISTRY_TOPIC.name)  # says at once that it may not be looked at, which `bounds` waits for
    partition = TopicPartition(REGISTRY_TOPIC.name, 0)
    if (await bounds(broker, [partition])).ends[partition]:
        return 0
    async with transaction(pool) as connection:
        if await outbox.size(connection):
            return 0
        repeated = 0
        async for rows in entities.every_market(connection):
            await outbox.put(connection, [registry_envelope(row) for row in rows], now_ms)
            repeated += len(rows)
    return repeated


@dataclass(slots=True)
class Indexer:
    """Everything that runs. `ws_url` None: no subscription, only polling."""

    programs: Programs
    chain: Chain
    pool: Pool
    broker: Broker
    ws_url: SecretUrl | None = None
    member: str | None = None

    def begin(self, process: Process) -> None:
        """Begin its tasks: following, storing and publishing fail only in a way that a restart should cure.

        Everything else may fail alone: what it does is missing then, and nothing that is final is wrong or late.
        """
        clock, publish = process.clock, asyncio.Event()
        publisher = Publisher(self.pool, self.broker, clock, publish)
        store = BundleStore(clock, publish.set)
        live = ProvisionalStore(self.pool)
        reconciler = Reconciler(self.programs, self.chain, self.pool, clock)
        newest = Follower.waiting(self.broker, "indexer-provisional")
        process.task("publish", publisher.run)
        begin_loop(process, "bundles", bundle_loop(store, self.pool, self.broker, process.settings.stage, self.member))
        process.side("sweep", Sweeper(self.pool, clock).run)
        process.side("provisional", live.run)
        process.side("read provisional", lambda: read(live, newest))
        process.side("reconcile", reconciler.run)
        for name, program in ((REGISTRY, self.programs.registry), (ORACLE, self.programs.oracle)):
            follower = ProgramFollower(
                name, program, self.programs, self.chain, self.pool, clock, publish.set, reconciler.doubt
            )
            process.status.ready[name] = follower.ready
            wake = asyncio.Event()
            process.task(f"follow {name}", partial(follower.run, wake))
            if self.ws_url is not None:
                process.side(f"listen {name}", partial(_listen, self.ws_url, program, wake))


async def _listen(ws_url: SecretUrl, program: Pubkey, wake: asyncio.Event) -> None:
    async with contextlib.aclosing(wakes(ws_url, program)) as notes:
        async for _ in notes:
            wake.set()
