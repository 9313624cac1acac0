"""Stage 1: order books to what they mean. What is wrong with a level costs the level, not the book."""

from collections.abc import Callable, Sequence
from operator import gt, lt

import msgspec
from m0lanes.bodies import MarketOpened
from m0lanes.port import Event, Refused, Step, View, market_of
from m0lanes.quotes import QuotePayload, quoted
from m0quant.fixed import PPB

from m0domains.crypto.bodies import BookUpdate
from m0domains.crypto.payloads import OUTCOMES, BookPayload, Level

ENTITIES: dict[str, type[msgspec.Struct]] = {}
Side = tuple[Level, ...]


def normalize(view: View, event: Event) -> Step:
    """See Domain."""
    match event.payload:
        case BookPayload() as book:
            return _book(market_of(view, event), event, book)
        case QuotePayload() as quote:
            return Step(say=(quoted(view, event, quote),))
        case _:
            raise Refused(f"{event.kind} is no kind of this domain")


def _book(market: MarketOpened, event: Event, book: BookPayload) -> Step:
    if sorted(market.outcomes) != sorted(OUTCOMES):
        raise Refused(f"a book for {market.market_id}, whose outcomes are not {' and '.join(OUTCOMES)}")
    bids, asks = uncrossed(sound(book.bids, lt), sound(book.asks, gt))
    if not bids and not asks:
        raise Refused(f"the book of {market.market_id} has no level that means anything")
    return Step(say=(BookUpdate(market.market_id, event.event_ms, bids, asks),))


def sound(levels: Sequence[Level], worse: Callable[[int, int], bool]) -> Side:
    """Levels with a size and a price inside (0, 1) that go from the best price outwards."""
    kept: list[Level] = []
    for price, size in levels:
        if 0 < price < PPB and size > 0 and (not kept or worse(price, kept[-1][0])):
            kept.append((price, size))
    return tuple(kept)


def uncrossed(bids: Side, asks: Side) -> tuple[Side, Side]:
    """Both sides without the levels that cross or lock each other: which of the two is wrong cannot be known."""
    while bids and asks and bids[0][0] >= asks[0][0]:
        bids, asks = bids[1:], asks[1:]
    return bids, asks
