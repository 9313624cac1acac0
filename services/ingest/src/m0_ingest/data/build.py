"""Rebuild the committed samples from the packages they come from. For maintainers; needs `polars`.

    python -m m0_ingest.data.build --football data/football.json --books sample_data/

`--football` is the file of that name in the npm package `vega-datasets` 3.2.1, `--books` the folder of that name in the
Python package `resolvedkit` 0.1.0. The same inputs give the same bytes.
"""

import argparse
import csv
import gzip
import io
import json
import pathlib
from collections.abc import Iterable, Sequence

HERE = pathlib.Path(__file__).parent
FOOTBALL = "football.csv"
BOOKS = "btc_15m_books.csv.gz"
MARKETS = "btc_15m_markets.csv"

LEAGUES = {
    "English Premier League": "eng.1",
    "Primera Division": "es.1",
    "Serie A": "it.1",
    "Deutsche Bundesliga": "de.1",
    "Österreichische Bundesliga": "at.1",
}
SPACING_MS = 5_000
LEVELS = 5
PPB = 1_000_000_000
MILLI = 1_000


def football_rows(matches: Iterable[dict[str, object]]) -> list[tuple[object, ...]]:
    """`(date, league, home, away, home goals, away goals)` ascending; fixtures without a score are left out."""
    rows = {
        (m["date"], LEAGUES[str(m["division"])], m["home_team"], m["away_team"], m["home_score"], m["away_score"])
        for m in matches
        if m["home_score"] is not None and m["away_score"] is not None
    }
    return sorted(rows, key=lambda row: row[:4])


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


def build_football(source: pathlib.Path) -> None:
    """Write FOOTBALL from football.json."""
    rows = football_rows(json.loads(source.read_text()))
    (HERE / FOOTBALL).write_bytes(as_csv(("date", "league", "home", "away", "home_goals", "away_goals"), rows))


def build_books(folder: pathlib.Path) -> None:
    """Write BOOKS and MARKETS from books.parquet and markets.parquet."""
    import polars as pl  # noqa: PLC0415 - a maintainer's tool, not a dependency of the service

    markets = pl.read_parquet(folder / "markets.parquet").sort("start_ts")
    books = (
        pl.read_parquet(folder / "books.parquet")
        .filter(pl.col("side") == "UP")
        .join(markets.select("market_id", "slug"), on="market_id")
        .sort("ts", "slug")
    )
    ends = dict(zip(markets["slug"], markets["end_ts"], strict=True))
    rows = book_rows(books.iter_rows(named=True), ends)
    packed = gzip.compress(as_csv(("slug", "ts_ms", "bids", "asks"), rows), 9, mtime=0)
    (HERE / BOOKS).write_bytes(packed)
    listed = [
        (m["slug"], m["question"], m["start_ts"], m["end_ts"], "UP" if m["payout_up"] == 1.0 else "DOWN")
        for m in markets.iter_rows(named=True)
    ]
    (HERE / MARKETS).write_bytes(as_csv(("slug", "question", "start_ms", "end_ms", "outcome"), listed))


def main() -> None:
    """Read the arguments and write the samples beside this file."""
    parser = argparse.ArgumentParser(description="Rebuild the committed data samples.")
    parser.add_argument("--football", type=pathlib.Path, required=True, help="football.json of vega-datasets 3.2.1")
    parser.add_argument("--books", type=pathlib.Path, required=True, help="sample_data folder of resolvedkit 0.1.0")
    arguments = parser.parse_args()
    build_football(arguments.football)
    build_books(arguments.books)


if __name__ == "__main__":
    main()
