"""The replay connector: history's events, due by the schedule, written in order; the cursor follows
acknowledgements.
"""

import asyncio
import hashlib

from m0common.clock import Clock
from m0common.messages import MarketOutcome
from m0common.telemetry.logs import logger

from m0_ingest import metrics
from m0_ingest.dataset import Item, Placed
from m0_ingest.open_markets import OpenMarkets
from m0_ingest.schedule import Schedule
from m0_ingest.writer import Event, RawWriter

BATCH = 500
LONGEST_SLEEP_MS = 500
SAVE_EVERY_MS = 5_000

log = logger(__name__)


class Replayer:
    """Plays one catalog's dataset. An event waits up to `hold_ms` for its market to open; all later ones wait with
    it.
    """

    def __init__(
        self, catalog: str, schedule: Schedule, writer: RawWriter, markets: OpenMarkets, clock: Clock, hold_ms: int
    ) -> None:
        self.catalog = catalog
        self.source = f"replay-{catalog}"
        self._schedule = schedule
        self._writer = writer
        self._markets = markets
        self._clock = clock
        self._hold_ms = hold_ms
        self._given_up: set[str] = set()
        self.problem: str | None = None

    async def run(self) -> None:
        """Play until cancelled."""
        while True:
            wait_ms = await self.turn()
            await asyncio.sleep(wait_ms / 1000)

    async def turn(self) -> int:
        """Write what is due now; returns milliseconds until there may be more."""
        state, now = self._schedule.state, self._clock.now_ms()
        events: list[Event] = []
        outcomes: list[MarketOutcome] = []
        bare: list[int] = []
        index, wait = state.cursor, LONGEST_SLEEP_MS
        self.problem = None
        while len(events) < BATCH:
            item, placed, due_ms = self._schedule.item(index + 1)
            if due_ms > now:
                wait = min(wait, due_ms - now)
                break
            if not self._may_go(item, placed, now - due_ms):
                self.problem = f"{placed.market_id} has not opened {now - due_ms} ms after its event was due"
                break
            index += 1
            market_id = self._market_of(item, placed)
            if placed.market_id is not None and market_id is None:
                bare.append(index)
            if market_id is not None or item.kind == "match_result":
                payload = self._schedule.dataset.in_cycle(item.payload, placed.cycle)
                events.append(Event(self.source, str(index), item.group, market_id, item.kind, due_ms, payload))
            else:
                metrics.SKIPPED.labels(self.catalog, item.kind).inc()
            if item.outcome is not None and placed.market_id is not None:
                outcomes.append(self._outcome(item, placed.market_id, item.outcome, due_ms))
        lag = max(0, now - self._schedule.item(index + 1)[2])
        metrics.LAG_MS.labels(self.catalog).set(lag)
        if index > state.cursor:
            state.intent, state.bare = max(index, state.intent), bare
            await self._schedule.save()
            await self._writer.write(events, outcomes)
            state.cursor, state.bare = index, []
            await self._schedule.save()
            metrics.CURSOR.labels(self.catalog).set(index)
            metrics.CYCLE.labels(self.catalog).set(self._schedule.item(index)[1].cycle)
            return 0
        if now - state.seen_ms > SAVE_EVERY_MS:
            await self._schedule.save()
        return wait

    def _may_go(self, item: Item, placed: Placed, late_ms: int) -> bool:
        market_id = placed.market_id
        if market_id is None or market_id in self._given_up or placed.index <= self._schedule.state.intent:
            return True
        if self._markets.is_open(market_id):
            return True
        if late_ms <= self._hold_ms:
            return False
        log.warning("market did not open in time", market_id=market_id, kind=item.kind, late_ms=late_ms)
        self._given_up.add(market_id)
        return True

    def _market_of(self, item: Item, placed: Placed) -> str | None:
        """The market an event is written for; None when its market never opened, or an earlier life sent it so."""
        market_id = placed.market_id
        if market_id is None:
            return None
        if placed.index <= self._schedule.state.intent:
            return None if placed.index in self._schedule.state.bare else market_id
        if market_id in self._given_up and not self._markets.is_open(market_id):
            if item.outcome is not None:
                self._given_up.discard(market_id)
            return None
        self._given_up.discard(market_id)
        return market_id

    def _outcome(self, item: Item, market_id: str, outcome: int, event_ms: int) -> MarketOutcome:
        evidence = hashlib.sha256(item.evidence).digest()
        return MarketOutcome(market_id, self.catalog, outcome, evidence, event_ms, self.source)
