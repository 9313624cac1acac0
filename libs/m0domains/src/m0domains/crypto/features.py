"""Stage 2: order books and outside quotes: consensus price, spread, depth, age, and how it moved within a window."""

from collections.abc import Mapping

import msgspec
from m0lanes.bodies import MarketOpened
from m0lanes.port import NOTHING, Drop, Put, Step, View
from m0lanes.quotes import Quote
from m0quant.consensus import from_book
from m0quant.fixed import PPB, to_fixed

from m0domains.crypto.bodies import BookUpdate
from m0domains.crypto.guardrails import limit

WINDOW_MS = 60_000
WINDOW_MAX_MS = 86_400_000
WINDOW_POINTS = 64


class Book(msgspec.Struct, frozen=True, array_like=True):
    """The newest consensus of a market in ppb, and `(event_ms, consensus)` of its window, oldest first. Its part is the
    market's id.
    """

    event_ms: int
    consensus: int
    lo: int
    hi: int
    spread: int
    depth_milli: int
    one_sided: bool
    window: tuple[tuple[int, int], ...]


class Quoted(msgspec.Struct, frozen=True, array_like=True):
    """The newest outside quote of a market, in registry order. Its part is the market's id."""

    event_ms: int
    p_ppb: tuple[int, ...]


ENTITIES: dict[str, type[msgspec.Struct]] = {"book": Book, "quoted": Quoted}


def observe(view: View, body: msgspec.Struct) -> Step:
    """See Domain. What is older than what is known changes nothing."""
    match body:
        case BookUpdate():
            book = view.get(Book, body.market_id)
            if view.market(body.market_id) is None or (book is not None and book.event_ms > body.event_ms):
                return NOTHING
            return Step((Put((body.market_id,), _after(book, body, _window_ms(view))),))
        case Quote():
            quoted = view.get(Quoted, body.market_id)
            if view.market(body.market_id) is None or (quoted is not None and quoted.event_ms > body.event_ms):
                return NOTHING
            return Step((Put((body.market_id,), Quoted(body.event_ms, body.p_ppb)),))
        case _:
            return NOTHING


def _window_ms(view: View) -> int:
    return limit(view, "window_ms", WINDOW_MS, WINDOW_MAX_MS)


def _after(before: Book | None, body: BookUpdate, window_ms: int) -> Book:
    seen = from_book(body.bids, body.asks)
    consensus, lo, hi = (to_fixed(value, PPB) for value in (seen.p, seen.lo, seen.hi))
    since = body.event_ms - window_ms
    kept = [] if before is None else [point for point in before.window if point[0] > since][-(WINDOW_POINTS - 1) :]
    return Book(
        body.event_ms,
        consensus,
        lo,
        hi,
        seen.spread_ppb,
        seen.depth_milli,
        seen.one_sided,
        (*kept, (body.event_ms, consensus)),
    )


def features(view: View, market: MarketOpened, at_ms: int) -> Mapping[str, int]:
    """See Domain. What the newest book says and how old it is; a quote by place of the outcome."""
    values: dict[str, int] = {}
    book = view.get(Book, market.market_id)
    if book is not None:
        since = at_ms - _window_ms(view)
        inside = [price for ms, price in book.window if ms > since]
        values |= {
            "book_age_ms": max(0, at_ms - book.event_ms),
            "book_change_ppb": book.consensus - inside[0] if inside else 0,
            "book_consensus_ppb": book.consensus,
            "book_depth_milli": book.depth_milli,
            "book_hi_ppb": book.hi,
            "book_lo_ppb": book.lo,
            "book_one_sided": int(book.one_sided),
            "book_spread_ppb": book.spread,
            "book_updates": len(inside),
        }
    quoted = view.get(Quoted, market.market_id)
    if quoted is not None:
        values["quote_age_ms"] = max(0, at_ms - quoted.event_ms)
        values |= {f"quote_{index:02}_ppb": p for index, p in enumerate(quoted.p_ppb)}
    return values


def forget(view: View, market: MarketOpened) -> Step:
    """See Domain. Nothing outlives a market."""
    parts = (market.market_id,)
    return Step(tuple(Drop(kind, parts) for kind in (Book, Quoted) if view.get(kind, *parts) is not None))
