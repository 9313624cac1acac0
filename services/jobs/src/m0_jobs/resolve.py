"""Resolves markets on chain once their outcome is known and the chain allows it."""

import asyncio
from dataclasses import dataclass, field

from m0chain import ChainError, ProgramError, Registry
from m0chain.accounts import VOID, Market, MarketState
from m0common.clock import Clock
from m0common.store.postgres import Pool, transaction
from m0common.telemetry.logs import logger
from m0index.tables import outcomes
from m0index.tables.outcomes import Due

from m0_jobs import metrics
from m0_jobs.chain import ChainPort
from m0_jobs.rotation import Rotation

BATCH = 200
COUNTED = 10_000
_AT_ONCE = 8
_RESOLVABLE = frozenset({MarketState.ACTIVE, MarketState.PAUSED, MarketState.DEPRECATED})

_log = logger(__name__)


def verdict(market: Market | None, due: Due, now_ms: int) -> str:
    """What the chain would say: `resolve`, or why not: `absent`, `done`, `contradicts`, `early`, `state`, `invalid`."""
    if market is None:
        return "absent"
    if market.resolved:
        return "done" if market.resolution == due.outcome else "contradicts"
    if due.outcome != VOID and due.outcome >= market.outcome_count:
        return "invalid"
    if market.state not in _RESOLVABLE:
        return "state"
    return "early" if now_ms < market.resolves_after_ms else "resolve"


@dataclass(slots=True)
class Resolver:
    """The job; idempotent, since the chain resolves a market once and is asked before.

    An outcome is taken as said once it has stood for `wait_ms` by our clock: until then a correction replaces it.
    """

    pool: Pool
    chain: ChainPort
    registry: Registry
    clock: Clock
    wait_ms: int
    pages: Rotation[tuple[int, str]] = field(default_factory=lambda: Rotation((-1, "")))

    async def run(self) -> int:
        """Resolve what is due, a page of it; how many. Raises ChainError or Unavailable when nothing can be done."""
        now_ms, said_by_ms = await self.chain.now_ms(), self.clock.now_ms() - self.wait_ms
        async with transaction(self.pool) as connection:
            due = await outcomes.due_for_resolution(connection, now_ms, said_by_ms, self.pages.behind, BATCH)
            left = await outcomes.unresolved(connection, now_ms, COUNTED)
        metrics.UNRESOLVED.labels("unknown").set(left.without_outcome)
        metrics.UNRESOLVED.labels("known").set(left.with_outcome)
        self.pages.turn(due, BATCH, lambda each: (each.resolves_after_ms, each.market_id))
        if not due:
            return 0
        markets = await self.chain.markets([d.market_id for d in due])
        limit = asyncio.Semaphore(_AT_ONCE)
        results = await asyncio.gather(
            *(self._one(market, each, now_ms, limit) for market, each in zip(markets, due, strict=True))
        )
        return sum(results)

    async def _one(self, market: Market | None, due: Due, now_ms: int, limit: asyncio.Semaphore) -> bool:
        result = verdict(market, due, now_ms)
        if result == "resolve":
            async with limit:
                result = await self._send(due)
        metrics.RESOLVED.labels(result).inc()
        if result in {"contradicts", "invalid", "failed"}:
            _log.error("resolution_failed", market_id=due.market_id, outcome=due.outcome, reason=result)
        return result == "resolved"

    async def _send(self, due: Due) -> str:
        instruction = self.registry.resolve_market(self.chain.payer, due.market_id, due.outcome, due.evidence_hash)
        try:
            landed = await self.chain.send(instruction)
        except ProgramError as error:
            if error.name in {"AlreadyResolved", "TooEarlyToResolve"}:
                return "race"
            _log.error("resolution_refused", market_id=due.market_id, error=str(error))
            return "failed"
        except ChainError as error:
            _log.warning("resolution_retried", market_id=due.market_id, error=str(error))
            return "retried"
        _log.info("resolved", market_id=due.market_id, outcome=due.outcome, transaction=landed.signature)
        return "resolved"
