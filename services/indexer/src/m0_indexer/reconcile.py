"""Compares tables with accounts, and corrects a row that stays different.

Events can be lost without anyone's fault (a node that cuts a log, or forgot the beginning of its history); the accounts
cannot. A difference counts when it is seen twice in a row and the row behind it is final, so that a change that is just
passing through is left alone.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

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
"""A pass asks for much, so rarely; what gives reason to doubt is looked into at once."""
AT_ONCE = 5_000
"""So many accounts are asked for in one request. More come in 256 parts, by a byte in which they differ evenly."""
FOUND_MAX = 1_000
"""So many differences end a pass; the next one finds the others."""
BATCH = 100
"""Accounts fetched whole at once."""
FIRST_S = 5.0
DOUBT_S = 120.0
"""So long after a doubt what gave rise to it is final, and what follows from it in the accounts."""

T = TypeVar("T")
_log = logger(__name__)


def digits(count: int, at_once: int) -> list[bytes]:
    """The parts in which so many accounts are asked for, by what the byte in which they differ is: all in one part, or
    each byte's.
    """
    return [b""] if count <= at_once else [bytes([byte]) for byte in range(256)]


def batched(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """So many at a time as are fetched at once."""
    return (things[start : start + BATCH] for start in range(0, len(things), BATCH))


def head_of(account: accounts.Market) -> accounts.MarketHead:
    """What of a market is compared."""
    return accounts.MarketHead(account.market_key, account.state, account.resolution if account.resolved else None)


def market_differs(row: MarketRow | None, head: accounts.MarketHead) -> bool:
    """Whether a final row says something else than the account."""
    if row is None:
        return True
    return row.commitment == "finalized" and (row.state, row.resolution) != (head.state.name, head.resolution)


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
    at_once: int = AT_ONCE
    pace_s: float = 0.5
    """between the parts of what is too much for one request"""
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
        """Compare everything once, a part at a time; the things that were corrected."""
        slot = await self.chain.slot()
        found = {entity(each): each async for each in self._differing()}
        certain = {name: what for name, what in found.items() if name in self.suspects}
        self.suspects = frozenset(found.keys() - certain.keys())
        if certain:
            await self._correct(certain, slot)
        return sorted(certain)

    async def _differing(self) -> AsyncIterator[accounts.Market | accounts.Epoch]:
        async with transaction(self.pool) as connection:
            markets, epochs = await entities.how_many(connection, self.at_once + 1)
        left = FOUND_MAX
        for count, differing in ((markets, self._markets), (epochs, self._epochs)):
            for digit in digits(count, self.at_once):
                if left <= 0:
                    return
                for each in await differing(digit):
                    left -= 1
                    yield each
                if digit:
                    await asyncio.sleep(self.pace_s)

    async def _markets(self, digit: bytes) -> list[accounts.Market]:
        """Only what may differ is fetched whole."""
        heads = await self.chain.market_heads(self.programs.registry, digit)
        rows: dict[bytes, MarketRow] = {}
        for keys in batched([head.market_key for head in heads.values()]):
            rows |= await self._market_rows(keys)
        doubtful = [at for at, head in heads.items() if market_differs(rows.get(head.market_key), head)]
        found: list[accounts.Market] = []
        for some in batched(doubtful[:FOUND_MAX]):
            markets = await self.chain.markets(some)
            now = await self._market_rows([each.market_key for each in markets])
            found += [each for each in markets if market_differs(now.get(each.market_key), head_of(each))]
        return found

    async def _market_rows(self, keys: Sequence[bytes]) -> dict[bytes, MarketRow]:
        async with transaction(self.pool) as connection:
            return await entities.markets(connection, keys)

    async def _epochs(self, digit: bytes) -> list[accounts.Epoch]:
        found: list[accounts.Epoch] = []
        for some in batched(await self.chain.epoch_addresses(self.programs.oracle, digit)):
            epochs = await self.chain.epochs(some)
            async with transaction(self.pool) as connection:
                rows = await entities.epochs(connection, [(each.catalog, each.epoch_id) for each in epochs])
            found += [each for each in epochs if epoch_differs(rows.get((each.catalog, each.epoch_id)), each)]
        return found[:FOUND_MAX]

    async def _correct(self, certain: Mapping[str, accounts.Market | accounts.Epoch], slot: int) -> None:
        async with transaction(self.pool) as connection:
            for account in certain.values():
                is_market = isinstance(account, accounts.Market)
                program, name = (REGISTRY, MARKET_ACCOUNT) if is_market else (ORACLE, EPOCH_ACCOUNT)
                await history.add_account(connection, program, name, account, slot)
            await refold(connection, certain.keys(), self.programs, self.clock.now_ms())
        for name in sorted(certain):
            metrics.CORRECTIONS.labels(name.partition(":")[0]).inc()
            _log.error("row_corrected_from_account", thing=name, slot=slot)
