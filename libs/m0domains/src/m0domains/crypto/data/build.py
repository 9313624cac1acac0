"""Rebuild the committed sample from the package it comes from. For maintainers; needs `polars`.

    python -m m0domains.crypto.data.build sample_data/

The argument is the folder of that name in the Python package `resolvedkit` 0.1.0. The same input gives the same bytes.
"""

import argparse
import csv
import gzip
import io
import pathlib
from collections.abc import Iterable, Sequence

from m0domains.crypto.dataset import BOOK_COLUMNS, BOOKS, MARKET_COLUMNS, MARKETS

SPACING_MS = 5_000
LEVELS = 5
PPB = 1_000_000_000
MILLI = 1_000


def ladder(prices: Sequence[float], sizes: Sequence[float]) -> str:
    """The best levels as `price_ppb:size_milli` joined by spaces; levels that round to nothing are left out."""
    levels = [(round(p * PPB), round(s * MILLI)) for p, s in zip(prices, sizes, strict=True)][:LEVELS]
    return " ".join(f"{price}:{size}" for price, size in levels if size > 0 and 0 < price < PPB)


def book_rows(snapshots: Iterable[dict[str, object]], ends: dict[str, int]) -> list[tuple[object, ...]]:
    """`(slug, ts_ms, bids, asks)` of the UP side, at least SPACING_MS apart per market, up to the market's end."""
    rows: list[tuple[object, ...]] = []
    last: dict[str, int] = {}
    for snapshot in snapshots:
        slug, ts = str(snapshot["slug"]), int(str(snapshot["ts"]))
        if ts >= ends[slug] or ts - last.get(slug, -SPACING_MS) < SPACING_MS:
            continue
        last[slug] = ts
        bids = ladder(snapshot["bid_px"], snapshot["bid_sz"])  # type: ignore[arg-type]
        asks = ladder(snapshot["ask_px"], snapshot["ask_sz"])  # type: ignore[arg-type]
        if bids or asks:
            rows.append((slug, ts, bids, asks))
    return rows


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """CSV with Unix line ends."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()


def main() -> None:
    """Read the argument and write the samples beside this file."""
    import polars as pl  # noqa: PLC0415 - a maintainer's tool, not a dependency of the package

    parser = argparse.ArgumentParser(description="Rebuild the committed order book sample.")
    parser.add_argument("folder", type=pathlib.Path, help="sample_data folder of resolvedkit 0.1.0")
    folder = parser.parse_args().folder
    markets = pl.read_parquet(folder / "markets.parquet").sort("start_ts")
    books = (
        pl.read_parquet(folder / "books.parquet")
        .filter(pl.col("side") == "UP")
        .join(markets.select("market_id", "slug"), on="market_id")
        .sort("ts", "slug")
    )
    ends = dict(zip(markets["slug"], markets["end_ts"], strict=True))
    rows = book_rows(books.iter_rows(named=True), ends)
    packed = gzip.compress(as_csv(BOOK_COLUMNS, rows), 9, mtime=0)
    BOOKS.write_bytes(packed)
    listed = [
        (m["slug"], m["question"], m["start_ts"], m["end_ts"], "UP" if m["payout_up"] == 1.0 else "DOWN")
        for m in markets.iter_rows(named=True)
    ]
    MARKETS.write_bytes(as_csv(MARKET_COLUMNS, listed))


if __name__ == "__main__":
    main()
