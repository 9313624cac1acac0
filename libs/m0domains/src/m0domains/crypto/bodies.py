"""What the crypto domain says in lane messages."""

import msgspec


class BookUpdate(msgspec.Struct, frozen=True, array_like=True):
    """kind `book_update`: the order book of a market's outcome UP at one moment, best level first, neither crossed nor
    locked; prices in ppb, sizes in thousandths. At most one side is empty.
    """

    market_id: str
    event_ms: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class Quote(msgspec.Struct, frozen=True, array_like=True):
    """kind `quote`: somebody else's probabilities of a market's outcomes in ppb, in registry order."""

    market_id: str
    event_ms: int
    p_ppb: tuple[int, ...]


BODIES: dict[str, type[msgspec.Struct]] = {"book_update": BookUpdate, "quote": Quote}
