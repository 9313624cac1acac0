"""Plays a recorded history: its events, due by the schedule, written in order, each batch with its cursor.

Nothing is sent under groups that nobody names. When a season is over, the next one is asked for and waited for.
"""

import hashlib
from collections.abc import Callable

import msgspec
from m0common.clock import Clock
from m0common.cursors import SEASON, Cursors, SeasonRequest
from m0common.messages import MarketOutcome, RawEvent, raw_event
from m0common.telemetry.logs import logger
from m0domains.history import Observation, Placed, Resolution
from m0lanes.port import Domain, Refused
from m0replay.control_log import ControlLog

from m0_ingest import metrics
from m0_ingest.door import checked, decided
from m0_ingest.schedule import Schedule
from m0_ingest.writer import ConnectorWriter

BATCH = 500
HISTORY = "history:"
"""Begins the keys of where histories stand in `m0.cursors`; the catalog follows."""
LONGEST_SLEEP_MS = 500
SAVE_EVERY_MS = 5_000

log = logger(__name__)


class Batch:
    """What one turn is going to write."""

    def __init__(self) -> None:
        self.events: list[RawEvent] = []
        self.outcomes: list[MarketOutcome] = []


class HistoryPlayer:
    """Plays one catalog's dataset as `source`. An event waits up to `hold_ms` for its market to be open, as `is_open`
    says; all later ones wait with it.
    """

    def __init__(
        self,
        catalog: str,
        source: str,
        domain: Domain,
        schedule: Schedule,
        writer: ConnectorWriter,
        control: ControlLog,
        is_open: Callable[[str], bool],
        clock: Clock,
        hold_ms: int,
        cursors: Cursors,
    ) -> None:
        self.catalog = catalog
        self._source = source
        self._domain = domain
        self._schedule = schedule
        self._writer = writer
        self._control = control
        self._is_open = is_open
        self._clock = clock
        self._hold_ms = hold_ms
        self._cursor, self._request = HISTORY + catalog, SEASON + catalog
        self._asked = cursors.has(self._request)
        self._given_up: set[str] = set()
        self._saved_ms = 0
        self.note: str | None = None

    def named(self) -> frozenset[str]:
        """The groups that the set in force names in every lane."""
        now = self._control.in_force_everywhere(self.catalog)
        return frozenset() if now is None or now.payload.retired else frozenset(now.payload.groups)

    async def turn(self) -> int:
        """Write what is due now; returns milliseconds until there may be more. Raises Unavailable, and Fenced."""
        named = self.named()
        if self._schedule.over:
            self._schedule.next_season()
            await self._save(self._clock.now_ms())
        if not self._schedule.follow(named):
            await self._wait_for_groups(named)
            return LONGEST_SLEEP_MS
        if self._asked:
            await self._writer.write(cursors={self._request: None})
            self._asked = False
        self.note = None
        return await self._play(named)

    async def _play(self, named: frozenset[str]) -> int:
        schedule, now = self._schedule, self._clock.now_ms()
        batch = Batch()
        index, wait = schedule.state.cursor, LONGEST_SLEEP_MS
        while len(batch.events) < BATCH and index + 1 < schedule.dataset.item_count:
            placed, due_ms = schedule.item(index + 1)
            if due_ms > now:
                wait = min(wait, due_ms - now)
                break
            if placed.item.group in named:
                if not self._may_go(placed, now - due_ms):
                    self.note = f"{placed.item.market} has not opened {now - due_ms} ms after its event was due"
                    break
                self._add(batch, placed, due_ms)
            else:
                metrics.SKIPPED.labels(self.catalog, _kind(placed)).inc()
            index += 1
        if index > schedule.state.cursor:
            state = msgspec.structs.replace(schedule.state, cursor=index)
            await self._writer.write(batch.events, batch.outcomes, {self._cursor: state})
            schedule.state, self._saved_ms = state, now
            metrics.CURSOR.labels(self.catalog).set(index)
            metrics.SEASON.labels(self.catalog).set(schedule.state.season)
            wait = 0
        elif now - self._saved_ms > SAVE_EVERY_MS:
            await self._save(now)
        lag_ms = 0 if schedule.over else max(0, now - schedule.item(index + 1)[1])
        metrics.LAG_SECONDS.labels(self.catalog).set(lag_ms / 1000)
        return wait

    async def _save(self, now_ms: int) -> None:
        await self._writer.write(cursors={self._cursor: self._schedule.state})
        self._saved_ms = now_ms

    async def _wait_for_groups(self, named: frozenset[str]) -> None:
        """Ask for the groups of the season that is to begin."""
        season, groups = self._schedule.state.season, self._schedule.groups
        missing = ", ".join(group for group in groups if group not in named)
        begins = "history is over; " if season > 1 else ""
        note = f"{begins}season {season} begins when the set in force of {self.catalog} names {missing}"
        if note == self.note:
            return
        self.note = note
        log.info(note, catalog=self.catalog)
        if season > 1:  # the first one's groups stand in the catalog's file
            await self._writer.write(cursors={self._request: SeasonRequest(self.catalog, season, groups)})
            self._asked = True

    def _may_go(self, placed: Placed, late_ms: int) -> bool:
        market_id = placed.item.market
        if isinstance(placed.item, Resolution) or market_id is None or self._is_open(market_id):
            return True
        if late_ms <= self._hold_ms and market_id not in self._given_up:
            return False
        if market_id not in self._given_up:
            log.warning("market did not open in time", market_id=market_id, late_ms=late_ms)
            self._given_up.add(market_id)
        return True

    def _add(self, batch: Batch, placed: Placed, due_ms: int) -> None:
        """Put an item into the batch, unless its domain refuses it.

        Of a market that never opened only what decides its outcome goes, without it: the group learns from it.
        """
        item = placed.item
        if isinstance(item, Resolution):
            self._resolve(batch, item, due_ms)
            return
        try:
            payload = checked(self._domain, item.kind, item.payload)
            outcome = self._outcome(item)
        except Refused as error:
            log.warning("event refused", catalog=self.catalog, identity=placed.source_event_id, reason=str(error))
            metrics.REFUSED.labels(self.catalog, item.kind).inc()
            return
        market_id = item.market if item.market is not None and self._is_open(item.market) else None
        if item.market is not None and market_id is None and outcome is None:
            metrics.SKIPPED.labels(self.catalog, item.kind).inc()
            return
        batch.events.append(
            raw_event(
                self._source,
                placed.source_event_id,
                item.group,
                market_id,
                item.kind,
                due_ms,
                self._clock.now_ms(),
                payload,
                placed.source_seq,
            )
        )
        if outcome is not None and item.market is not None:
            self._publish(batch, item.market, outcome, item.evidence, due_ms)

    def _outcome(self, item: Observation) -> int | None:
        """The outcome that an event decides for its market, in the registry's order."""
        listing = None if item.market is None else self._schedule.dataset.find(item.market)
        return None if listing is None else decided(self._domain, item.kind, item.payload, listing.outcomes)

    def _resolve(self, batch: Batch, item: Resolution, due_ms: int) -> None:
        listing = self._schedule.dataset.find(item.market)
        if listing is None or item.outcome not in listing.outcomes:
            log.warning("resolution refused", market_id=item.market, outcome=item.outcome)
            metrics.REFUSED.labels(self.catalog, "resolution").inc()
            return
        self._publish(batch, item.market, listing.outcomes.index(item.outcome), item.evidence, due_ms)

    def _publish(self, batch: Batch, market_id: str, outcome: int, evidence: bytes, due_ms: int) -> None:
        digest = hashlib.sha256(evidence).digest()
        batch.outcomes.append(MarketOutcome(market_id, self.catalog, outcome, digest, due_ms, self._source))
        self._given_up.discard(market_id)


def _kind(placed: Placed) -> str:
    return placed.item.kind if isinstance(placed.item, Observation) else "resolution"
