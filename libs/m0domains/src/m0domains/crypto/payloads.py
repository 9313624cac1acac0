"""What connectors say about two-outcome markets: their order books, and other people's probabilities."""

from typing import Annotated

import msgspec
from m0common.messages.types import Millis
from m0lanes.port import Refused

PPB = 1_000_000_000
LEVELS_MAX = 64
SIZE_MAX_MILLI = 1 << 53

UP, DOWN = "UP", "DOWN"
OUTCOMES = (UP, DOWN)
"""Names of the outcomes of a market with a book, which is that of UP. A market has them in any order."""

Price = Annotated[int, msgspec.Meta(ge=0, le=PPB)]
Level = tuple[Price, Annotated[int, msgspec.Meta(ge=0, le=SIZE_MAX_MILLI)]]
"""Price in ppb and size in thousandths of a share."""
Levels = Annotated[tuple[Level, ...], msgspec.Meta(max_length=LEVELS_MAX)]


class BookPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kind `book`: the order book of a market's outcome UP, best level first."""

    bids: Levels
    asks: Levels
    original_ms: Millis


class QuotePayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """kind `quote`: somebody else's probabilities of a market's outcomes in ppb, by the outcomes' names; they sum to
    exactly 1e9.
    """

    p_ppb: Annotated[
        dict[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], Price],
        msgspec.Meta(min_length=2, max_length=32),
    ]
    original_ms: Millis


PAYLOADS: dict[str, type[msgspec.Struct]] = {"book": BookPayload, "quote": QuotePayload}


def check(payload: msgspec.Struct) -> None:
    """What types cannot say of a payload. Raises Refused."""
    if isinstance(payload, QuotePayload):
        p_ppb: list[int] = list(payload.p_ppb.values())
        if sum(p_ppb) != PPB:
            raise Refused(f"probabilities sum to {sum(p_ppb)} ppb: they must sum to {PPB}")
