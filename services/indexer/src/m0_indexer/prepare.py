"""The index made ready before anything is written to it, and again when its schema is taken away."""

import asyncio
from dataclasses import dataclass

from m0chain import ChainError
from m0common.clock import Clock
from m0common.errors import Unavailable
from m0common.pooler import refuse_pooler
from m0common.secret import SecretDsn
from m0common.store.postgres import Pool, transaction
from m0common.stream.broker import Broker
from m0common.telemetry.logs import logger
from m0index import migrations
from m0index.schema import Schema

from m0_indexer.chain import NodeChain
from m0_indexer.service import check_chain, repeat_registry_if_lost

RETRY_S = 1.0

_log = logger(__name__)


@dataclass(slots=True)
class Preparation:
    """Migrates, and refuses an index of another chain. `problem` says what it waits for, None when all is ready."""

    dsn: SecretDsn
    schema: Schema
    pool: Pool
    chain: NodeChain
    broker: Broker
    clock: Clock
    problem: str | None = None

    async def make(self) -> None:
        """Until the index is ready. Raises SettingsError when it is another chain's, or behind a pooler."""
        while True:
            try:
                await self._once()
            except (Unavailable, ChainError) as error:
                self.problem = f"waiting: {error}"
                _log.warning("start_waits", error=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                self.problem = None
                return

    async def keep(self) -> None:
        """Make an index that was taken away anew; until cancelled."""
        while True:
            await asyncio.sleep(RETRY_S)
            if self.schema.lacking():
                _log.error("schema_lacking", reason="the database lost its schema, or was replaced by an empty one")
                await self.make()

    async def _once(self) -> None:
        await refuse_pooler(self.dsn, "the indexer changes the schema under a session's lock")
        await asyncio.to_thread(migrations.upgrade, self.dsn)
        async with transaction(self.pool) as connection:
            if (unusable := await self.schema.ask(connection)) is not None:
                raise Unavailable(unusable)  # waited for like everything else
        await check_chain(self.pool, self.chain, self.clock.now_ms())
        await repeat_registry_if_lost(self.pool, self.broker, self.clock.now_ms())
