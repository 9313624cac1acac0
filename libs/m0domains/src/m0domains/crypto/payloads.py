"""What connectors say about two-outcome markets: their order books, and other people's probabilities."""

from typing import Annotated

import msgspec
from m0common.fixedpoint import PPB
from m0common.messages.types import Millis
from m0lanes.quotes import QuotePayload, check_quote

LEVELS_MAX = 64
SIZE_MAX_MILLI = 1 << 53

UP, DOWN = "UP", "DOWN"
OUTCOMES = (UP, DOWN)
"""Names of the outcomes of a market with a book, which is that of UP. A market has them in any order."""

Price = Annotated[int, msgspec.Meta(ge=0, le=PPB)]
Level = tuple[Price, Annotated[int, msgspec.Meta(ge=0, le=SIZE_MAX_MILLI)]]
"""Price in ppb and size in thousandths of a share."""
Levels = Annotated[tuple[Level, ...], msgspec.Meta(max_length=LEVELS_MAX)]


class BookPayload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """kind `book`: the order book of a market's outcome UP, best level first."""

    bids: Levels
    asks: Levels
    original_ms: Millis


PAYLOADS: dict[str, type[msgspec.Struct]] = {"book": BookPayload, "quote": QuotePayload}


def check(payload: msgspec.Struct) -> None:
    """What types cannot say of a payload. Raises Refused."""
    if isinstance(payload, QuotePayload):
        check_quote(payload)
