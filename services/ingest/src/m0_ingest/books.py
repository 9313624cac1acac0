"""The order book sample as a dataset: a market per quarter of an hour, its books, its close and its outcome."""

import csv
import gzip
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from m0common.errors import InvalidValue
from m0common.messages import BookPayload, MarketClosePayload

from m0_ingest.dataset import Dataset, Item, Listing
from m0_ingest.timeline import Timeline

OUTCOMES = ("UP", "DOWN")


def load(books: Path, markets: Path, catalog: str, group: str, max_gap_ms: int) -> Dataset:
    """The dataset in a gzipped CSV of `slug, ts_ms, bids, asks` and a CSV of `slug, question, start_ms, end_ms,
    outcome`.
    """
    with gzip.open(books) as packed, markets.open(newline="", encoding="utf-8") as file:
        text = io.TextIOWrapper(packed, encoding="utf-8", newline="")
        return build(csv.DictReader(text), csv.DictReader(file), catalog, group, max_gap_ms)


def build(
    books: Iterable[Mapping[str, str]], markets: Iterable[Mapping[str, str]], catalog: str, group: str, max_gap_ms: int
) -> Dataset:
    """The dataset of these rows. Raises InvalidValue when a book belongs to no market or a market has no book."""
    listed = {row["slug"]: row for row in markets}
    snapshots = list(books)
    ends = [int(row["end_ms"]) for row in listed.values()]
    timeline = Timeline([int(row["ts_ms"]) for row in snapshots] + ends, max_gap_ms)
    items: list[Item] = []
    first: dict[str, int] = {}
    for row in snapshots:
        if row["slug"] not in listed:
            raise InvalidValue(f"a book of {row['slug']!r}, which is not among the markets")
        at = timeline.virtual(int(row["ts_ms"]))
        first.setdefault(row["slug"], at)
        payload = BookPayload(_levels(row["bids"]), _levels(row["asks"]), int(row["ts_ms"]))
        items.append(Item(at, group, market_id(row["slug"]), "book", payload))
    listings = []
    for slug, row in listed.items():
        if slug not in first:
            raise InvalidValue(f"market {slug!r} has no book")
        end = timeline.virtual(int(row["end_ms"]))
        evidence = ",".join(row[name] for name in ("slug", "start_ms", "end_ms", "outcome")).encode()
        close = MarketClosePayload(catalog, "settled")
        outcome = OUTCOMES.index(row["outcome"])
        items.append(Item(end, group, market_id(slug), "market_close", close, outcome, evidence))
        attributes = {"original_start_ms": row["start_ms"], "original_end_ms": row["end_ms"]}
        listings.append(Listing(first[slug], end, market_id(slug), group, row["question"], OUTCOMES, attributes))
    items.sort(key=lambda item: item.at_ms)
    listings.sort(key=lambda listing: listing.opens_ms)
    start = listings[0].opens_ms
    return Dataset((), items, listings, start, items[-1].at_ms - start + max_gap_ms)


def market_id(slug: str) -> str:
    """`btc-updown-15m-1790586000` is `BTC_UPDOWN_15M_1790586000`."""
    return slug.replace("-", "_").upper()


def _levels(text: str) -> tuple[tuple[int, int], ...]:
    pairs = (level.split(":") for level in text.split())
    return tuple((int(price), int(size)) for price, size in pairs)
