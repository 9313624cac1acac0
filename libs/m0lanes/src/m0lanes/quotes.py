"""Somebody else's probabilities of a market: what a connector says of them and what a lane does, in any domain."""

from typing import Annotated

import msgspec
from m0common.fixedpoint import PPB
from m0common.messages.types import Millis

from m0lanes.port import Event, Refused, View, market_of

Probability = Annotated[int, msgspec.Meta(ge=0, le=PPB)]


class QuotePayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """kind `quote`: somebody else's probabilities of a market's outcomes in ppb, by the outcomes' names; they sum to
    exactly 1e9.
    """

    p_ppb: Annotated[
        dict[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], Probability],
        msgspec.Meta(min_length=2, max_length=32),
    ]
    original_ms: Millis


class Quote(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """kind `quote`: somebody else's probabilities of a market's outcomes in ppb, in registry order."""

    market_id: str
    event_ms: int
    p_ppb: tuple[int, ...]


def check_quote(quote: QuotePayload) -> None:
    """What types cannot say of it. Raises Refused."""
    p_ppb: list[int] = list(quote.p_ppb.values())
    total = sum(p_ppb)
    if total != PPB:
        raise Refused(f"probabilities sum to {total} ppb: they must sum to {PPB}")


def quoted(view: View, event: Event, quote: QuotePayload) -> Quote:
    """The quote of the market that an event names. Raises Refused when it is not open or has other outcomes."""
    market, p_ppb = market_of(view, event), quote.p_ppb
    found = tuple([p_ppb[name] for name in market.outcomes if name in p_ppb])
    if not len(found) == len(market.outcomes) == len(p_ppb):
        raise Refused(f"a quote for other outcomes than those of {market.market_id}: name each of them once")
    return Quote(market.market_id, event.event_ms, found)
