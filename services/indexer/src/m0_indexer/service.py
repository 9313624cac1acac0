"""The indexer as a process: waits for what it depends on, then indexes until it is stopped."""

import asyncio
import contextlib

from m0chain import ChainError, Programs
from m0chain.pulse import beating
from m0common.clock import Clock
from m0common.errors import Unavailable
from m0common.http import Check
from m0common.pooler import refuse_pooler
from m0common.settings import Settings
from m0common.store import postgres, pulse
from m0common.store.postgres import Pool, transaction
from m0common.stream.broker import Broker
from m0common.stream.service import member_name
from m0common.telemetry.logs import logger
from m0index import migrations
from m0index.schema import Schema

from m0_indexer.app import Indexer, check_chain, repeat_registry_if_lost
from m0_indexer.chain import NodeChain
from m0_indexer.tasks import after, happens, together

RETRY_S = 1.0

_log = logger(__name__)


class IndexerService:
    """What `m0common.stream.service` runs. Raises SettingsError when programs are not named or the chain is another."""

    def __init__(self, settings: Settings, broker: Broker, clock: Clock) -> None:
        self._settings = settings
        self._broker = broker
        self._clock = clock
        self._stopped = asyncio.Event()
        self._indexer: Indexer | None = None
        self._schema = Schema()
        self._pulses: list[Check] = []
        """of the node and the database: whether they answer, whoever asks"""
        self._problem: str | None = "starting"

    def ready(self) -> str | None:
        """None when the tables are up to date with the chain and every bundle that waited is stored."""
        checks: list[Check] = [*self._pulses, lambda: self._problem]
        if self._indexer is not None:
            checks += self._indexer.checks.values()
        return next((problem for check in checks if (problem := check()) is not None), None)

    def notes(self) -> str | None:
        """What fails beside the index: reconciliation, live values, notifications; a schema that is newer."""
        beside = None if self._indexer is None else self._indexer.side.notes()
        return "; ".join(filter(None, (self._schema.note(), beside))) or None

    def healthy(self) -> str | None:
        """Always None: a part that cannot go on ends the process."""
        return None

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()

    async def run(self) -> None:
        """Until stopped."""
        grace_s = self._settings.stage.drain_grace_ms / 1000
        await together({"work": self._work(), "stop": after(self._stopped, grace_s)})

    async def _work(self) -> None:
        settings = self._settings
        deployed = Programs.of(settings)
        async with contextlib.AsyncExitStack() as stack:
            chain = NodeChain(settings.solana)
            stack.push_async_callback(chain.close)
            pool = await stack.enter_async_context(postgres.opened(settings.postgres, name="indexer"))
            node = await stack.enter_async_context(beating(settings.solana.rpc_url, self._clock.now_ms))
            database = await stack.enter_async_context(
                pulse.beating(settings.postgres.dsn, "indexer", self._schema.ask)
            )
            self._pulses = [node.problem, database.problem]
            await self._prepare(pool, chain)
            self._indexer = Indexer(
                deployed,
                chain,
                pool,
                self._broker,
                self._clock,
                settings.stage,
                settings.solana.ws_url,
                member_name("indexer"),
            )
            self._problem = None
            await together({"index": self._indexer.run(self._stopped), "schema": self._keep_schema(pool, chain)})

    async def _keep_schema(self, pool: Pool, chain: NodeChain) -> None:
        """An index that was taken away is begun again; never ends by itself."""
        while True:
            await asyncio.sleep(RETRY_S)
            if self._schema.lacking():
                _log.error("schema_lacking", reason="the database lost its schema, or was replaced by an empty one")
                await self._prepare(pool, chain)
                self._problem = None

    async def _prepare(self, pool: Pool, chain: NodeChain) -> None:
        while True:
            try:
                await refuse_pooler(
                    self._settings.postgres.dsn, "the indexer changes the schema under a session's lock"
                )
                await asyncio.to_thread(migrations.upgrade, self._settings.postgres.dsn)
                async with transaction(pool) as connection:
                    if (unusable := await self._schema.ask(connection)) is not None:
                        raise Unavailable(unusable)  # noqa: TRY301 - waited for like everything else
                await check_chain(pool, chain, self._clock.now_ms())
                await repeat_registry_if_lost(pool, self._broker, self._clock.now_ms())
            except (Unavailable, ChainError) as error:
                self._problem = f"waiting: {error}"
                _log.warning("start_waits", error=str(error))
                if await happens(self._stopped, RETRY_S):
                    self._stopped.set()
                    return
            else:
                return
