"""Creates each market on chain shortly before it opens. The market's address exists once, so doing it twice is
harmless.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

import msgspec
from m0chain import ChainClient, ChainError, Registry, Sender, TransactionFailed, pda
from m0chain.accounts import MarketState
from m0common.clock import Clock
from m0common.errors import M0Error
from m0common.telemetry.logs import logger
from solders.keypair import Keypair

from m0_ingest import metrics
from m0_ingest.schedule import Schedule
from m0_ingest.writer import ConnectorWriter

AT_ONCE = 8
TRIES = 5
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 10.0
LONGEST_SLEEP_MS = 500
FUNDS_EVERY = 100
"""Markets between two looks at the registrar's balance; each costs about 5 million lamports of rent."""
FUNDS_LOW_LAMPORTS = 2_000_000_000
TOP_UP_LAMPORTS = 100_000_000_000

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class NewMarket:
    """A market as the registry is told it."""

    catalog: str
    market_id: str
    group: str
    title: str
    outcomes: tuple[str, ...]
    opens_ms: int
    resolves_after_ms: int


class MarketRegistry(Protocol):
    """Where markets are created."""

    async def create(self, market: NewMarket) -> bool:
        """Create and activate a market; False when it exists already. Raises ChainError."""
        ...


class ChainRegistry:
    """The registry program, with the registrar's key, which also pays."""

    def __init__(self, client: ChainClient, registry: Registry, registrar: Keypair, *, top_up: bool = False) -> None:
        """`top_up`: ask the cluster for lamports when they run low, which only test clusters give."""
        self._client = client
        self._sender = Sender(client)
        self._registry = registry
        self._registrar = registrar
        self._top_up = top_up
        self._until_look = 0

    async def create(self, market: NewMarket) -> bool:
        """See MarketRegistry: one transaction creates the market and makes it active."""
        key = self._registrar.pubkey()
        await self._look_after_funds()
        instructions = [
            self._registry.create_market(
                key,
                key,
                market.catalog,
                market.market_id,
                market.group,
                market.title,
                market.outcomes,
                opens_ms=market.opens_ms,
                resolves_after_ms=market.resolves_after_ms,
            ),
            self._registry.set_market_state(key, market.market_id, MarketState.ACTIVE),
        ]
        try:
            await self._sender.send(instructions, [self._registrar])
        except TransactionFailed:
            if await self._client.account(pda.market(self._registry.program, market.market_id)) is None:
                raise
            return False
        return True

    async def _look_after_funds(self) -> None:
        """Now and then measure what the registrar has left for rent."""
        self._until_look -= 1
        if self._until_look >= 0:
            return
        self._until_look = FUNDS_EVERY
        lamports = await self._client.balance(self._registrar.pubkey())
        metrics.REGISTRAR_LAMPORTS.set(lamports)
        if lamports < FUNDS_LOW_LAMPORTS:
            log.warning("the registrar's funds run low", lamports=lamports, account=str(self._registrar.pubkey()))
            if self._top_up:
                await self._client.airdrop(self._registrar.pubkey(), TOP_UP_LAMPORTS)


LISTING = "listing:"
"""Begins the keys of where listings stand in `m0.cursors`; the catalog follows."""


class ListingState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last market of a season that is listed."""

    season: int
    listed: int


class Lister:
    """Follows one catalog's schedule and keeps its markets `lead_ms` ahead of their opening.

    `state` is where it stands, None at first. `named` gives the groups that the set in force names; markets of others
    are not listed.
    """

    def __init__(
        self,
        catalog: str,
        schedule: Schedule,
        state: ListingState | None,
        writer: ConnectorWriter,
        registry: MarketRegistry,
        named: Callable[[], Collection[str]],
        clock: Clock,
        lead_ms: int,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self.catalog = catalog
        self._schedule = schedule
        self._state = state
        self._writer = writer
        self._registry = registry
        self._named = named
        self._clock = clock
        self._lead_ms = lead_ms
        self._first_wait_s = first_wait_s
        self.problem: str | None = None
        """Why a market is not listed yet."""
        self.note: str | None = None
        """The last market that was given up, until another one is listed."""

    async def turn(self) -> int:
        """List what is due now; returns milliseconds until there may be more. Raises Unavailable, and Fenced."""
        season, now, named = self._schedule.state.season, self._clock.now_ms(), self._named()
        due: list[NewMarket] = []
        listed = -1 if self._state is None or self._state.season != season else self._state.listed
        index, wait = listed, LONGEST_SLEEP_MS
        if self._schedule.state.anchor is None or not named:
            return wait
        while len(due) < AT_ONCE and index + 1 < self._schedule.dataset.listing_count:
            listing, opens_ms, resolves_after_ms = self._schedule.listing(index + 1)
            if opens_ms - self._lead_ms > now:
                wait = min(wait, opens_ms - self._lead_ms - now)
                break
            index += 1
            if resolves_after_ms <= now:
                log.warning("market is over before it could be listed", market_id=listing.market)
                metrics.LISTED.labels(self.catalog, "too_late").inc()
            elif listing.group not in named:
                metrics.LISTED.labels(self.catalog, "not_named").inc()
            else:
                due.append(
                    NewMarket(
                        self.catalog,
                        listing.market,
                        listing.group,
                        listing.title,
                        listing.outcomes,
                        max(0, opens_ms),
                        resolves_after_ms,
                    )
                )
        if index == listed:
            return wait
        await asyncio.gather(*(self._list(market) for market in due))
        state = ListingState(season, index)
        await self._writer.write(cursors={LISTING + self.catalog: state})
        self._state = state
        return 0

    async def _list(self, market: NewMarket) -> None:
        """Create one market: an unavailable chain is waited for; after TRIES refusals, by the chain or by whatever
        stands before it, the market is given up, and the others go on.
        """
        refusals, wait = 0, self._first_wait_s
        while True:
            try:
                created = await self._registry.create(market)
            except Exception as error:  # noqa: BLE001 - one market is listed or not, and nothing else depends on it
                refused = not isinstance(error, ChainError) or isinstance(error, TransactionFailed)
                refusals += refused
                reason = str(error) if isinstance(error, M0Error) else f"{type(error).__name__}: {error}"
                self.problem = f"{market.market_id} cannot be listed: {reason}"
                log.warning("listing failed", market_id=market.market_id, reason=reason, refusals=refusals)
                metrics.RETRIES.labels("chain" if isinstance(error, ChainError) else "listing").inc()
                if refusals >= TRIES:
                    self.problem, self.note = None, f"{market.market_id} is not listed: {reason}"
                    metrics.LISTED.labels(self.catalog, "refused").inc()
                    return
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_S)
            else:
                self.problem = self.note = None
                metrics.LISTED.labels(self.catalog, "created" if created else "found").inc()
                return
