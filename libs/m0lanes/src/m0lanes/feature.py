"""Stage 2: canonical events to what a model may know of each market, in event time.

Between markers a market's row is emitted again whenever something that it reads changes; at a marker every open market
gets its final row, measured at the end of the window.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from typing import Protocol

from m0common.ids import Lane, market_key
from m0common.messages import (
    Body,
    BookUpdate,
    CatalogSet,
    FeatureRow,
    Marker,
    MarketClosed,
    MarketOpened,
    MatchResult,
    Quote,
)
from m0common.stream.entities import Entities

from m0lanes.codec import pack, unpack
from m0lanes.features.book import BookFeatures
from m0lanes.features.form import FormFeatures
from m0lanes.settings import NO_CONFIG

STAGE = 2
_TAG = b"M0FEATURE1"


class FeatureFamily(Protocol):
    """One way of looking at events: reads some of them and contributes named integers to markets' rows."""

    def observe(self, body: Body, markets: Mapping[str, MarketOpened], config: CatalogSet) -> Sequence[str]:
        """Take an event in; returns the open markets whose rows it changes, in order."""
        ...

    def values(self, market: MarketOpened, at_ms: int, config: CatalogSet) -> dict[str, int]:
        """The family's part of a market's row at an event time."""
        ...

    def forget(self, market_id: str) -> None:
        """Drop what is kept about a market that closed."""
        ...

    def settle(self, entities: Entities) -> None:
        """Write what changed into the lane's entities."""
        ...

    def resume(self, entities: Entities) -> None:
        """Rebuild the working state."""
        ...


def features_hash(market_id: str, values: Sequence[tuple[str, int]]) -> bytes:
    """sha256("M0FEATURE1" | market_key [32] | n u32 | (name string | value i64) in name order)."""
    parts = [_TAG, market_key(market_id), struct.pack("<I", len(values))]
    for name, value in values:
        raw = name.encode()
        parts.append(struct.pack("<I", len(raw)) + raw + struct.pack("<q", value))
    return hashlib.sha256(b"".join(parts)).digest()


class FeatureTransition:
    """One lane: the open markets and the state of every feature family."""

    def __init__(self, _lane: Lane) -> None:
        self.entities = Entities()
        self.config = NO_CONFIG
        self.markets: dict[str, MarketOpened] = {}
        self.families: tuple[FeatureFamily, ...] = (FormFeatures(), BookFeatures())

    def step(self, body: Body) -> Sequence[Body]:
        """See Transition."""
        match body:
            case CatalogSet():
                self.config = body
                return [body]
            case MarketOpened():
                self.markets[body.market_id] = body
                self.entities.put(f"market/{body.market_id}", pack(body))
                return [body, self._row(body, body.opens_ms, final=False)]
            case MarketClosed():
                self._drop(body.market_id)
                return [body]
            case MatchResult():
                if body.market_id is not None:
                    self._drop(body.market_id)
                return [body, *self._rows(body, body.event_ms)]
            case BookUpdate() | Quote():
                return self._rows(body, body.event_ms)
            case Marker():
                at_ms = body.window_end_ms
                rows = [self._row(self.markets[m], at_ms, final=True) for m in sorted(self.markets)]
                return [*rows, body]
            case _:
                raise AssertionError(f"{type(body).__name__} does not come before this stage")

    def _rows(self, body: Body, at_ms: int) -> list[Body]:
        changed: dict[str, None] = {}
        for family in self.families:
            changed.update(dict.fromkeys(family.observe(body, self.markets, self.config)))
        return [self._row(self.markets[m], at_ms, final=False) for m in changed if m in self.markets]

    def _row(self, market: MarketOpened, at_ms: int, *, final: bool) -> FeatureRow:
        values: dict[str, int] = {}
        for family in self.families:
            values.update(family.values(market, at_ms, self.config))
        ordered = tuple(sorted(values.items()))
        return FeatureRow(market.market_id, at_ms, final, ordered, features_hash(market.market_id, ordered))

    def _drop(self, market_id: str) -> None:
        if self.markets.pop(market_id, None) is not None:
            self.entities.drop(f"market/{market_id}")
            for family in self.families:
                family.forget(market_id)

    def settle(self) -> None:
        """See Transition."""
        self.entities.put("config", pack(self.config))
        for family in self.families:
            family.settle(self.entities)

    def resume(self) -> None:
        """See Transition."""
        self.config = unpack(self.entities.get("config"), CatalogSet)
        markets = (unpack(value, MarketOpened) for _, value in self.entities.with_prefix("market/"))
        self.markets = {market.market_id: market for market in markets}
        for family in self.families:
            family.resume(self.entities)
