"""The order book sample as a dataset: a market per quarter of an hour, its books and its outcome."""

from collections.abc import Sequence
from pathlib import Path

from m0common.errors import InvalidValue

from m0domains.crypto.payloads import OUTCOMES, BookPayload
from m0domains.history import Dataset, Item, Listing, Observation, Resolution
from m0domains.rows import Row, read_rows
from m0domains.timeline import Timeline

DATA = Path(__file__).parent / "data"
BOOKS = DATA / "btc_15m_books.csv.gz"
MARKETS = DATA / "btc_15m_markets.csv"
BOOK_COLUMNS = ("slug", "ts_ms", "bids", "asks")
MARKET_COLUMNS = ("slug", "question", "start_ms", "end_ms", "outcome")


def load(group: str, max_gap_ms: int, books: Path = BOOKS, markets: Path = MARKETS) -> Dataset:
    """The dataset in a CSV of BOOK_COLUMNS and one of MARKET_COLUMNS. Raises InvalidValue naming a bad row."""
    return build(read_rows(books, BOOK_COLUMNS), read_rows(markets, MARKET_COLUMNS), group, max_gap_ms)


def build(books: Sequence[Row], markets: Sequence[Row], group: str, max_gap_ms: int) -> Dataset:
    """The dataset of these rows. Raises InvalidValue when a book belongs to no market or a market has no book."""
    listed = {row.text("slug"): row for row in markets}
    moments = [row.integer("ts_ms") for row in books] + [row.integer("end_ms") for row in markets]
    timeline = Timeline(moments, max_gap_ms)
    items: list[Item] = []
    first: dict[str, int] = {}
    for row in books:
        slug = row.text("slug")
        if slug not in listed:
            row.refuse("slug", "is not among the markets")
        at = timeline.virtual(row.integer("ts_ms"))
        first.setdefault(slug, at)
        values = {"bids": _levels(row, "bids"), "asks": _levels(row, "asks"), "original_ms": row.integer("ts_ms")}
        items.append(Observation(at, group, market_id(slug), "book", row.payload(BookPayload, values)))
    listings = []
    for slug, row in listed.items():
        if slug not in first:
            row.refuse("slug", "has no book")
        if row.text("outcome") not in OUTCOMES:
            row.refuse("outcome", f"is none of {', '.join(OUTCOMES)}")
        end = timeline.virtual(row.integer("end_ms"))
        evidence = ",".join(row.text(name) for name in ("slug", "start_ms", "end_ms", "outcome")).encode()
        items.append(Resolution(end, group, market_id(slug), row.text("outcome"), evidence))
        attributes = {
            "original_start_ms": str(row.integer("start_ms")),
            "original_end_ms": str(row.integer("end_ms")),
        }
        listings.append(Listing(first[slug], end, market_id(slug), group, row.text("question"), OUTCOMES, attributes))
    if not listings:
        raise InvalidValue("no markets: check the data files")
    items.sort(key=lambda item: item.at_ms)
    listings.sort(key=lambda listing: listing.opens_ms)
    start = listings[0].opens_ms
    return Dataset((), items, listings, start, items[-1].at_ms - start + max_gap_ms)


def market_id(slug: str) -> str:
    """`btc-updown-15m-1790586000` is `BTC_UPDOWN_15M_1790586000`."""
    return slug.replace("-", "_").upper()


def _levels(row: Row, name: str) -> list[tuple[int, int]]:
    levels = []
    for level in row.fields[name].split():
        price, _, size = level.partition(":")
        if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in (price, size)):
            row.refuse(name, "must be levels `price_ppb:size_milli` with blanks between them")
        levels.append((int(price), int(size)))
    return levels
