"""The indexer put together: what runs, and how it stops."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from m0chain import Programs
from m0chain.idl import ORACLE, REGISTRY
from m0common.clock import Clock
from m0common.errors import SettingsError
from m0common.http import Check
from m0common.secret import SecretUrl
from m0common.settings import Stage
from m0common.side import SideTasks
from m0common.store.postgres import Pool, transaction
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.consumer_loop import ConsumerLoop
from m0common.stream.follow import Follower, bounds
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
from m0_indexer.tasks import together

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
    clock: Clock
    stage: Stage = field(default_factory=Stage)
    ws_url: SecretUrl | None = None
    member: str | None = None
    checks: dict[str, Check] = field(default_factory=dict)
    """what is still behind, by part"""
    side: SideTasks = field(default_factory=SideTasks)
    """what may fail alone"""

    async def run(self, stopped: asyncio.Event) -> None:
        """Until `stopped`, or until following, storing or publishing fails in a way that a restart should cure.

        Everything else may fail alone: what it does is missing then, and nothing that is final is wrong or late.
        """
        publish = asyncio.Event()
        publisher = Publisher(self.pool, self.broker, self.clock, publish)
        store = BundleStore(self.clock, publish.set)
        loop = bundle_loop(store, self.pool, self.broker, self.stage, self.member)
        live = ProvisionalStore(self.pool)
        reconciler = Reconciler(self.programs, self.chain, self.pool, self.clock)
        newest = Follower.waiting(self.broker, "indexer-provisional")
        self.checks["bundles"] = loop.ready
        parts = {
            "publish": publisher.run(),
            "bundles": _until(stopped, loop),
        }
        side: dict[str, Callable[[], Awaitable[None]]] = {
            "sweep": Sweeper(self.pool, self.clock).run,
            "provisional": live.run,
            "read provisional": lambda: read(live, newest),
            "reconcile": reconciler.run,
        }
        for name, program in ((REGISTRY, self.programs.registry), (ORACLE, self.programs.oracle)):
            follower = ProgramFollower(
                name, program, self.programs, self.chain, self.pool, self.clock, publish.set, reconciler.doubt
            )
            self.checks[name] = follower.ready
            wake = asyncio.Event()
            parts[f"follow {name}"] = follower.run(wake)
            if self.ws_url is not None:
                side[f"listen {name}"] = partial(_listen, self.ws_url, program, wake)
        await together(parts | {name: self.side.run(name, begin) for name, begin in side.items()})


async def _until(stopped: asyncio.Event, loop: ConsumerLoop) -> None:
    async def stop() -> None:
        await stopped.wait()
        loop.stop()
        await asyncio.Event().wait()

    await together({"loop": loop.run(), "stop": stop()})


async def _listen(ws_url: SecretUrl, program: Pubkey, wake: asyncio.Event) -> None:
    async with contextlib.aclosing(wakes(ws_url, program)) as notes:
        async for _ in notes:
            wake.set()
