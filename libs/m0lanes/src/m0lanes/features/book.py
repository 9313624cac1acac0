"""Order books and outside quotes: consensus price, spread, depth, age, and how it moved within a window."""

from collections.abc import Mapping, Sequence

import msgspec
from m0common.messages import Body, BookUpdate, CatalogSet, MarketOpened, Quote
from m0common.stream.entities import Entities
from m0quant.consensus import from_book
from m0quant.fixed import PPB, to_fixed

from m0lanes.codec import pack, unpack
from m0lanes.settings import param

WINDOW_MS = 60_000
WINDOW_POINTS = 240


class BookState(msgspec.Struct, array_like=True):
    """The latest consensus of a market in ppb, and `(event_ms, consensus)` of its window, oldest first."""

    event_ms: int = -1
    consensus: int = 0
    lo: int = 0
    hi: int = 0
    spread: int = 0
    depth_milli: int = 0
    one_sided: int = 0
    window: tuple[tuple[int, int], ...] = ()
    quote_ms: int = -1
    quote: tuple[int, ...] = ()


class BookFeatures:
    """Reads order books and quotes of open markets."""

    def __init__(self) -> None:
        self._books: dict[str, BookState] = {}
        self._changed: set[str] = set()
        self._forgotten: set[str] = set()

    def observe(self, body: Body, markets: Mapping[str, MarketOpened], config: CatalogSet) -> Sequence[str]:
        """See FeatureFamily. A book older than the one known changes nothing."""
        if not isinstance(body, BookUpdate | Quote) or body.market_id not in markets:
            return ()
        state = self._books.get(body.market_id) or BookState()
        if isinstance(body, Quote):
            if body.event_ms < state.quote_ms:
                return ()
            state.quote_ms, state.quote = body.event_ms, body.p_ppb
        else:
            if body.event_ms < state.event_ms:
                return ()
            self._take(state, body, param(config, "window_ms", WINDOW_MS))
        self._books[body.market_id] = state
        self._changed.add(body.market_id)
        return (body.market_id,)

    @staticmethod
    def _take(state: BookState, body: BookUpdate, window_ms: int) -> None:
        seen = from_book(body.bids, body.asks)
        state.event_ms = body.event_ms
        state.consensus, state.lo, state.hi = (to_fixed(v, PPB) for v in (seen.p, seen.lo, seen.hi))
        state.spread, state.depth_milli, state.one_sided = seen.spread_ppb, seen.depth_milli, int(seen.one_sided)
        since = body.event_ms - window_ms
        kept = [point for point in state.window if point[0] > since][-(WINDOW_POINTS - 1) :]
        state.window = (*kept, (body.event_ms, state.consensus))

    def values(self, market: MarketOpened, at_ms: int, config: CatalogSet) -> dict[str, int]:
        """See FeatureFamily."""
        state = self._books.get(market.market_id)
        if state is None:
            return {}
        values: dict[str, int] = {}
        if state.event_ms >= 0:
            since = at_ms - param(config, "window_ms", WINDOW_MS)
            inside = [price for ms, price in state.window if ms > since]
            values |= {
                "book_age_ms": max(0, at_ms - state.event_ms),
                "book_change_ppb": state.consensus - inside[0] if inside else 0,
                "book_consensus_ppb": state.consensus,
                "book_depth_milli": state.depth_milli,
                "book_hi_ppb": state.hi,
                "book_lo_ppb": state.lo,
                "book_one_sided": state.one_sided,
                "book_spread_ppb": state.spread,
                "book_updates": len(inside),
            }
        if state.quote_ms >= 0:
            values["quote_age_ms"] = max(0, at_ms - state.quote_ms)
            values |= {f"quote_{index:02}_ppb": p for index, p in enumerate(state.quote)}
        return values

    def forget(self, market_id: str) -> None:
        """See FeatureFamily."""
        if self._books.pop(market_id, None) is not None:
            self._changed.discard(market_id)
            self._forgotten.add(market_id)

    def settle(self, entities: Entities) -> None:
        """See FeatureFamily."""
        for market_id in self._forgotten:
            entities.drop(f"book/{market_id}")
        for market_id in sorted(self._changed):
            entities.put(f"book/{market_id}", pack(self._books[market_id]))
        self._forgotten.clear()
        self._changed.clear()

    def resume(self, entities: Entities) -> None:
        """See FeatureFamily."""
        self._books = {market_id: unpack(value, BookState) for market_id, value in entities.with_prefix("book/")}
        self._changed.clear()
        self._forgotten.clear()
