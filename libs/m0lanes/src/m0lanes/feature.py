"""Stage 2: what the domain says of each market at the end of an epoch, in event time.

At a marker every open market gets its row. What changes between markers is noted and said beside the lane, conflated.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping

import msgspec
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane, market_key
from m0common.messages import ProvisionalRow, encode
from m0common.messages.types import MILLIS_MAX
from m0common.stream.records import Produce
from m0common.topics import FEATURES, NORMALIZED, PROVISIONAL_ROWS

from m0lanes import tags
from m0lanes.bodies import VALUES_MAX, FeatureRow, Generation, Marker, MarketClosed, MarketOpened, decode_body
from m0lanes.entities import Entities
from m0lanes.laned import LanedCore, Said
from m0lanes.markets import Known
from m0lanes.packing import pack
from m0lanes.port import Domain, Refused
from m0lanes.view import Bodies, Space, asked, forget_others, owner_of

STAGE = 2
_TAG = b"M0FEATURE1"
_I64 = range(-(1 << 63), 1 << 63)


def features_hash(market_id: str, values: Iterable[tuple[str, int]]) -> bytes:
    """sha256("M0FEATURE1" | market_key [32] | n u32 | (name string | value i64) in name order)."""
    named = list(values)
    parts = [_TAG, market_key(market_id), struct.pack("<I", len(named))]
    for name, value in named:
        raw = name.encode()
        parts.append(struct.pack("<I", len(raw)) + raw + struct.pack("<q", value))
    return hashlib.sha256(b"".join(parts)).digest()


class FeatureState:
    """One lane: the open markets and what the domain keeps about them."""

    def __init__(self, _lane: Lane, entities: Entities, domains: Mapping[bytes, Domain], release: bytes) -> None:
        self.entities = entities
        self.known = Known(entities)
        self.touched: set[str] = set()
        """Markets and groups whose rows may have changed since they were last said beside the lane."""
        self.now_ms = min((self.known.last_epoch + 1) * self.known.generation.epoch_ms, MILLIS_MAX)
        """The latest event time heard of."""
        self._domain: Domain | None = None
        self._use(domains.get(release))

    def _use(self, domain: Domain | None) -> None:
        self._domain = domain
        if domain is None:
            return
        params = dict(self.known.generation.params)
        owner = owner_of(domain)
        self._space = Space(self.entities, tags.DOMAIN, owner, domain.feature_entities, self.known.markets, params)
        self._bodies = Bodies(domain.bodies)

    @property
    def generation(self) -> int:
        """See State."""
        return self.known.generation.generation

    @property
    def last_epoch(self) -> int:
        """See State."""
        return self.known.last_epoch

    def generation_said(self, body: Generation, domain: Domain) -> Iterable[Said]:
        """See LaneState."""
        self.known.use(body)
        self._use(domain)
        self.forget_others()
        if body.reopened:
            # by the domain that goes on: whether the one before is here is an accident of the process
            for market_id in sorted(self.known.markets):
                self._close(market_id)
        return ()

    def forget_others(self) -> None:
        """See LaneState."""
        assert self._domain is not None
        forget_others(self.entities, tags.DOMAIN, owner_of(self._domain))

    def step(self, kind: str, raw: msgspec.Raw) -> Iterable[Said]:
        """See LaneState."""
        if kind == "market_opened":
            market = decode_body(raw, MarketOpened)
            self.known.open(market)
            self.touched.add(market.market_id)
            return [(kind, bytes(raw))]
        if kind == "market_closed":
            self._close(decode_body(raw, MarketClosed).market_id)
            return [(kind, bytes(raw))]
        domain = self._domain
        if domain is None or not self._bodies.knows(kind):
            raise DeadLetterError("unknown_body", f"{kind!r} is nothing that this lane's domain says")
        body = self._bodies.decode(kind, raw)
        changes = asked(self._space, lambda: self._space.checked(domain.observe(self._space, body)))
        self._space.apply(changes)
        self._touch(body)
        model = domain.models.get(self.known.generation.model)
        return [(kind, bytes(raw))] if model is not None and kind in model.learns else []

    def _touch(self, body: msgspec.Struct) -> None:
        self.now_ms = max(self.now_ms, getattr(body, "event_ms", 0))
        for place in (getattr(body, "market_id", None), getattr(body, "group", None)):
            if isinstance(place, str):
                self.touched.add(place)
                return

    def _close(self, market_id: str) -> None:
        market = self.known.close(market_id)
        domain = self._domain
        if market is None or domain is None:
            return
        try:
            changes = asked(self._space, lambda: self._space.checked(domain.forget(self._space, market)))
        except DeadLetterError:
            return  # what is left behind is bounded by what the domain may keep
        self._space.apply(changes)

    def finals(self, marker: Marker) -> Iterator[Said]:
        """See LaneState."""
        for market_id in sorted(self.known.markets):
            market = self.known.markets[market_id]
            values = self.values(market, marker.window_end_ms)
            row = FeatureRow(
                market_id,
                marker.epoch_id,
                marker.window_end_ms,
                values or (),
                features_hash(market_id, values or ()),
                values is None,
            )
            yield "feature_row", pack(row)

    def values(self, market: MarketOpened, at_ms: int) -> tuple[tuple[str, int], ...] | None:
        """A market's row at an event time; None when the domain cannot make it."""
        domain = self._domain
        if domain is None:
            return None
        try:
            return asked(self._space, lambda: checked_row(domain.features(self._space, market, at_ms)))
        except DeadLetterError:
            return None

    def forward(self, marker: Marker) -> Marker:
        """See LaneState."""
        self.known.close_epoch(marker.epoch_id)
        self.now_ms = max(self.now_ms, marker.window_end_ms)
        return marker


def checked_row(values: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """A row that a message can carry, ascending by name. Raises Refused."""
    if len(values) > VALUES_MAX:
        raise Refused(f"a row of {len(values)} values: at most {VALUES_MAX}")
    for name, value in values.items():
        if not name.isascii() or not isinstance(value, int) or value not in _I64:
            raise Refused(f"value {name!r} of a row is no i64 with an ASCII name")
    return tuple(sorted((name, int(value)) for name, value in values.items()))


class FeatureCore(LanedCore[FeatureState]):
    """m0.normalized to m0.features. Beside its lanes it says rows that changed, for the model to answer."""

    name = "feature"
    stage = STAGE
    input_topic = NORMALIZED.name

    def __init__(self, deployment: Deployment, domains: Mapping[bytes, Domain], build: bytes) -> None:
        super().__init__(FeatureState, lambda lane: (FEATURES.name, lane.partition), domains, deployment, build)

    def asides(self) -> Iterable[Produce]:
        """Rows of the markets that changed since the last call."""
        for slot in self._slots.all():
            state = slot.state
            touched, state.touched = state.touched, set()
            if not touched or not slot.follows:
                continue
            for market_id in sorted(state.known.markets):
                market = state.known.markets[market_id]
                at_ms = state.now_ms
                if market_id not in touched and market.group not in touched:
                    continue
                values = state.values(market, at_ms)
                if values is not None:
                    row = ProvisionalRow(
                        slot.lane.catalog, slot.lane.partition, slot.life, slot.cause, market_id, at_ms, values
                    )
                    yield Produce(PROVISIONAL_ROWS.name, slot.lane.partition, market_id.encode(), encode(row))
