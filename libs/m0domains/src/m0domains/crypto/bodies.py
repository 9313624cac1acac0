"""What the crypto domain says in lane messages."""

import msgspec
from m0lanes.quotes import Quote


class BookUpdate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """kind `book_update`: the order book of a market's outcome UP at one moment, best level first, neither crossed nor
    locked; prices in ppb, sizes in thousandths. At most one side is empty.
    """

    market_id: str
    event_ms: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


BODIES: dict[str, type[msgspec.Struct]] = {"book_update": BookUpdate, "quote": Quote}
