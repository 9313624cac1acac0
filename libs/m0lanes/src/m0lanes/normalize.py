"""Stage 1: raw events to canonical ones: validation, dedupe, market state from control events.

The lane of a control event is named in its payload; an observation belongs to the lane whose catalog owns its group.
"""

from collections import deque
from collections.abc import Iterable

from m0common.canonical import LaneDigest
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import (
    Body,
    BookPayload,
    BookUpdate,
    CatalogPayload,
    CatalogSet,
    Checkpoint,
    EpochEndPayload,
    Marker,
    MarketClosed,
    MarketClosePayload,
    MarketOpened,
    MarketOpenPayload,
    MatchResult,
    MatchResultPayload,
    Payload,
    Quote,
    QuotePayload,
    RawEvent,
)
from m0common.stream.entities import Entities
from m0common.stream.lanes import Lanes
from m0common.stream.records import Output, Record, Save
from m0common.topics import NORMALIZED, RAW

from m0lanes.codec import pack, unpack
from m0lanes.raw import decode_event, decode_payload, event_id
from m0lanes.settings import NO_CONFIG, config_of

STAGE = 1
SEEN_EVENTS = 2048
"""How many event ids a lane remembers; a source that repeats itself later than that is not noticed."""
SEEN_BYTES = 16
DAY_MS = 86_400_000
Control = CatalogPayload | MarketOpenPayload | MarketClosePayload | EpochEndPayload
"""What is not an observation: it names its catalog, and takes effect where it stands in the log."""


class NormalizeState:
    """One lane's canonical state: settings, open markets, events seen, last epoch closed."""

    def __init__(self, _lane: Lane) -> None:
        self.entities = Entities()
        self.config = NO_CONFIG
        self.markets: dict[str, MarketOpened] = {}
        self.last_epoch = -1
        self.last_end_ms = 0
        self.late = 0
        self._seen: dict[bytes, None] = {}
        self._order: deque[bytes] = deque()
        self._digest = LaneDigest()

    def accept(self, event: RawEvent, payload: Payload) -> list[Body]:
        """What one event adds to the lane; nothing when it is a repeat. Raises DeadLetterError, the state unchanged."""
        if isinstance(payload, EpochEndPayload):
            return self._close(payload)
        identity = event_id(event)
        short = identity[:SEEN_BYTES]
        if short in self._seen:
            return []
        body = self._body(event, payload, identity)
        # a control event that changes nothing has been read all the same: the digest covers it
        if body is not None:
            self._apply(body)
        self._remember(short)
        self._digest.add(identity)
        if event.event_ms < self.last_end_ms and not isinstance(payload, Control):
            self.late += 1
        return [body] if body is not None else []

    def _close(self, end: EpochEndPayload) -> list[Body]:
        if end.epoch_id <= self.last_epoch:
            return []
        self.last_epoch, self.last_end_ms = end.epoch_id, end.window_end_ms
        digest, self._digest = self._digest.value, LaneDigest()
        return [
            Marker(
                end.epoch_id,
                end.window_start_ms,
                end.window_end_ms,
                end.partitions,
                self.config.config_hash,
                self.config.signer_set_id,
                digest,
                b"",
                (),
            ),
        ]

    def _body(self, event: RawEvent, payload: Payload, identity: bytes) -> Body | None:
        match payload:
            case CatalogPayload():
                config = config_of(payload)
                return None if config == self.config else config
            case MarketOpenPayload():
                market_id = event.market_id or ""
                opened = MarketOpened(
                    market_id,
                    event.group,
                    payload.outcomes,
                    payload.schema_version,
                    payload.opens_ms,
                    dict(sorted(payload.attributes.items())),
                )
                return None if market_id in self.markets else opened
            case MarketClosePayload():
                return MarketClosed(event.market_id or "", payload.reason) if event.market_id in self.markets else None
            case MatchResultPayload():
                if event.market_id is not None:
                    self._market(event)
                return MatchResult(
                    identity,
                    event.group,
                    event.market_id,
                    event.event_ms,
                    payload.home,
                    payload.away,
                    payload.home_goals,
                    payload.away_goals,
                    payload.season,
                    payload.original_ms // DAY_MS,
                )
            case BookPayload():
                market = self._market(event)
                return BookUpdate(identity, event.group, market.market_id, event.event_ms, payload.bids, payload.asks)
            case QuotePayload():
                market = self._market(event)
                if len(payload.p_ppb) != len(market.outcomes):
                    raise DeadLetterError(
                        "invalid_payload",
                        f"quote: {len(payload.p_ppb)} probabilities for the {len(market.outcomes)} outcomes of "
                        f"{market.market_id}",
                    )
                return Quote(identity, market.market_id, event.event_ms, payload.p_ppb)
            case EpochEndPayload():
                raise AssertionError("markers are not events")

    def _market(self, event: RawEvent) -> MarketOpened:
        market = self.markets.get(event.market_id or "")
        if market is None:
            raise DeadLetterError("unknown_market", f"{event.market_id!r} is not open in this lane: open it first")
        if market.group != event.group:
            raise DeadLetterError(
                "wrong_group", f"{event.market_id} belongs to group {market.group!r}, the event says {event.group!r}"
            )
        return market

    def _apply(self, body: Body) -> None:
        match body:
            case CatalogSet():
                self.config = body
            case MarketOpened():
                self.markets[body.market_id] = body
                self.entities.put(f"market/{body.market_id}", pack(body))
            case MarketClosed():
                self._drop(body.market_id)
            case MatchResult(market_id=str(market_id)):
                self._drop(market_id)
            case _:
                pass

    def _drop(self, market_id: str) -> None:
        del self.markets[market_id]
        self.entities.drop(f"market/{market_id}")

    def _remember(self, short: bytes) -> None:
        self._seen[short] = None
        self._order.append(short)
        if len(self._order) > SEEN_EVENTS:
            del self._seen[self._order.popleft()]

    def settle(self) -> None:
        """See State."""
        self.entities.put("config", pack(self.config))
        self.entities.put("epoch", pack((self.last_epoch, self.last_end_ms, self._digest.value)))
        self.entities.put("seen", b"".join(self._order))

    def resume(self) -> None:
        """See State."""
        self.config = unpack(self.entities.get("config"), CatalogSet)
        self.last_epoch, self.last_end_ms, digest = unpack(self.entities.get("epoch"), tuple[int, int, bytes])
        self._digest = LaneDigest(digest)
        seen = self.entities.get("seen") or b""
        self._order = deque(seen[i : i + SEEN_BYTES] for i in range(0, len(seen), SEEN_BYTES))
        self._seen = dict.fromkeys(self._order)
        markets = (unpack(value, MarketOpened) for _, value in self.entities.with_prefix("market/"))
        self.markets = {market.market_id: market for market in markets}


class NormalizeCore:
    """Routes raw records to lanes. `only` restricts it to some catalogs, as replay does; others are passed over."""

    name = "normalize"
    stage = STAGE
    input_topic = RAW.name

    def __init__(self, release: bytes, only: frozenset[str] | None = None) -> None:
        self._only = only
        self._lanes: Lanes[NormalizeState] = Lanes(STAGE, release, NormalizeState, NORMALIZED.name)

    @property
    def late_events(self) -> int:
        """Events that came after the marker of the window they belong to, since this core was made."""
        return sum(slot.state.late for slot in self._lanes.slots.values())

    def feed(self, record: Record) -> list[Output]:
        """See StageCore."""
        event = decode_event(record.value)
        payload = decode_payload(event)
        lane = self._lane(event, payload, record.partition)
        if lane is None:
            return []
        slot, outputs = self._lanes.at(*lane, record.offset)
        if record.offset <= slot.input_offset:
            return outputs
        slot.input_offset = record.offset
        bodies = [self._lanes.with_releases(slot, body) for body in slot.state.accept(event, payload)]
        return self._lanes.emit(slot, bodies, record.offset, record.headers, outputs, event.group.encode() or None)

    def resume(self, partition: int, checkpoints: Iterable[Checkpoint]) -> int | None:
        """See StageCore."""
        return self._lanes.resume(partition, checkpoints)

    def release(self, partition: int) -> None:
        """See StageCore."""
        self._lanes.release(partition)

    def planned_stop(self, partition: int) -> list[Save]:
        """See StageCore."""
        return self._lanes.planned_stop(partition)

    def _lane(self, event: RawEvent, payload: Payload, partition: int) -> Lane | None:
        """The lane of an event; None when it is passed over. A group named by two catalogs goes to the first."""
        if isinstance(payload, Control):
            if self._only is not None and payload.catalog not in self._only:
                return None
            return Lane(payload.catalog, partition)
        for slot in self._lanes.slots.values():
            if slot.lane.partition == partition and event.group in slot.state.config.groups:
                return slot.lane
        if self._only is not None:
            return None
        raise DeadLetterError(
            "unknown_group",
            f"group {event.group!r} belongs to no catalog in partition {partition}: name it in a catalog",
        )
