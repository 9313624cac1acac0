"""Compares tables with accounts, and corrects a row that stays different.

Events can be lost without anyone's fault (a node that cuts a log, or forgot the beginning of its history); the accounts
cannot. A difference counts when it is seen twice in a row and the row behind it is final, so that a change that is just
passing through is left alone.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from m0chain import Programs, accounts
from m0chain.idl import ORACLE, REGISTRY
from m0common.clock import Clock
from m0common.store.postgres import Pool, transaction
from m0common.telemetry.logs import logger
from m0index.apply import refold
from m0index.events import EPOCH_ACCOUNT, MARKET_ACCOUNT, entity
from m0index.rows import EpochRow, MarketRow
from m0index.tables import entities, history

from m0_indexer import metrics
from m0_indexer.chain import Chain
from m0_indexer.events import happens

EVERY_S = 3_600.0
"""Everything is asked for at once, so rarely; what gives reason to doubt is looked into at once."""
FIRST_S = 5.0
DOUBT_S = 120.0
"""So long after a doubt what gave rise to it is final, and what follows from it in the accounts."""

_log = logger(__name__)


def market_differs(row: MarketRow | None, account: accounts.Market) -> bool:
    """Whether a final row says something else than the account."""
    if row is None:
        return True
    resolution = account.resolution if account.resolved else None
    return row.commitment == "finalized" and (row.state, row.resolution) != (account.state.name, resolution)


def epoch_differs(row: EpochRow | None, account: accounts.Epoch) -> bool:
    """Whether a final row says something else than the account."""
    if row is None:
        return True
    tally = account.tallies[account.finalized_tally] if account.finalized_tally != accounts.NO_TALLY else None
    says = (account.status.label, None if tally is None else tally.bundle_hash)
    return row.commitment == "finalized" and not row.closed and (row.status, row.bundle_hash) != says


@dataclass(slots=True)
class Reconciler:
    """Continuous comparison."""

    programs: Programs
    chain: Chain
    pool: Pool
    clock: Clock
    suspects: frozenset[str] = field(default_factory=frozenset)
    _doubted: asyncio.Event = field(default_factory=asyncio.Event)
    _doubt_until_ms: int = 0

    async def run(self) -> None:
        """Soon after the start, then every hour; every few seconds while there is doubt. Raises what `once` raises."""
        await asyncio.sleep(FIRST_S)
        while True:
            self._doubted.clear()
            await self.once()
            if self.suspects or self.clock.monotonic_ms() < self._doubt_until_ms:
                await asyncio.sleep(FIRST_S)
            else:
                await happens(self._doubted, EVERY_S)

    def doubt(self) -> None:
        """Events may have been missed: look into it now."""
        self._doubt_until_ms = self.clock.monotonic_ms() + round(DOUBT_S * 1000)
        self._doubted.set()

    async def once(self) -> list[str]:
        """Compare everything once; the things that were corrected."""
        slot = await self.chain.slot()
        found: dict[str, tuple[str, str, msgspec.Struct]] = {}
        markets = {a.market_key: a for a in await self.chain.markets(self.programs.registry)}
        epochs = {(a.catalog, a.epoch_id): a for a in await self.chain.epochs(self.programs.oracle)}
        async with transaction(self.pool) as connection:
            market_rows = await entities.markets(connection, list(markets))
            epoch_rows = await entities.epochs(connection, list(epochs))
        for key, market in markets.items():
            if market_differs(market_rows.get(key), market):
                found[entity(market)] = (REGISTRY, MARKET_ACCOUNT, market)
        for name, epoch in epochs.items():
            if epoch_differs(epoch_rows.get(name), epoch):
                found[entity(epoch)] = (ORACLE, EPOCH_ACCOUNT, epoch)
        certain = {name: what for name, what in found.items() if name in self.suspects}
        self.suspects = frozenset(found.keys() - certain.keys())
        if certain:
            await self._correct(certain, slot)
        return sorted(certain)

    async def _correct(self, certain: Mapping[str, tuple[str, str, msgspec.Struct]], slot: int) -> None:
        async with transaction(self.pool) as connection:
            for program, name, account in certain.values():
                await history.add_account(connection, program, name, account, slot)
            await refold(connection, certain.keys(), self.programs, self.clock.now_ms())
        for name in sorted(certain):
            metrics.CORRECTIONS.labels(name.partition(":")[0]).inc()
            _log.error("row_corrected_from_account", thing=name, slot=slot)
