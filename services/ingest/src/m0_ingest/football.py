"""The football sample as a dataset: a market per fixture, its result, and seasons before it as warm-up.

The source has no time of day; every match kicks off at 15:00 UTC and ends two hours later.
"""

import csv
import datetime as dt
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from m0common.errors import InvalidValue
from m0common.messages import MatchResultPayload

from m0_ingest.dataset import Dataset, Item, Listing, Payload
from m0_ingest.timeline import DAY_MS, Timeline

KICKOFF_MS = 15 * 3_600_000
LENGTH_MS = 2 * 3_600_000
OUTCOMES = ("HOME", "DRAW", "AWAY")
CYCLE_DAYS = 731
"""Two years: in a later cycle the same two seasons are played again as the next two, so that seasons stay in order."""
TEAM_CHARS = 18
SEASON_BEGINS_MONTH = 7


@dataclass(frozen=True, slots=True)
class FootballOptions:
    """`live_from`: date of the first live match; `open_days` before kick-off a market opens; `max_gap_days` is what a
    longer pause between match days is cut to; `titles` names the leagues.
    """

    live_from: dt.date
    open_days: int
    max_gap_days: int
    titles: Mapping[str, str]


def load(path: Path, options: FootballOptions) -> Dataset:
    """The dataset in a CSV of `date, league, home, away, home_goals, away_goals`. Raises InvalidValue on a bad row."""
    with path.open(newline="", encoding="utf-8") as file:
        return build(csv.DictReader(file), options)


def build(rows: Iterable[Mapping[str, str]], options: FootballOptions) -> Dataset:
    """The dataset of these rows, leagues without a title left out."""
    chosen = [row for row in rows if row["league"] in options.titles]
    timeline = Timeline([_kickoff_ms(row) for row in chosen], options.max_gap_days * DAY_MS)
    warmup, live, listings = [], [], []
    for row in sorted(chosen, key=lambda row: (row["date"], row["league"], row["home"])):
        kickoff = timeline.virtual(_kickoff_ms(row))
        if dt.date.fromisoformat(row["date"]) < options.live_from:
            warmup.append(_result(row, None, kickoff + LENGTH_MS))
            continue
        market = market_id(row)
        live.append(_result(row, market, kickoff + LENGTH_MS))
        listings.append(
            Listing(
                opens_ms=kickoff - options.open_days * DAY_MS,
                settles_ms=kickoff,
                market=market,
                group=row["league"],
                title=f"{row['home']} v {row['away']}, {options.titles[row['league']]}, {row['date']}",
                outcomes=OUTCOMES,
                attributes={
                    "home": row["home"],
                    "away": row["away"],
                    "season": _season(_kickoff_ms(row)),
                    "original_ms": str(_kickoff_ms(row)),
                },
            )
        )
    if not live:
        raise InvalidValue(f"no match on or after {options.live_from}: choose an earlier live_from")
    start = listings[0].opens_ms
    span = live[-1].at_ms - live[0].at_ms + options.max_gap_days * DAY_MS
    return Dataset(warmup, live, listings, start, span, _in_cycle, _attributes_in_cycle)


def market_id(row: Mapping[str, str]) -> str:
    """For example `FB_ENG1_20150808_ARSENAL_CHELSEA`."""
    league = row["league"].replace(".", "").upper()
    return f"FB_{league}_{row['date'].replace('-', '')}_{_slug(row['home'])}_{_slug(row['away'])}"


def _slug(team: str) -> str:
    plain = unicodedata.normalize("NFKD", team).encode("ascii", "ignore").decode().upper()
    return "".join(c for c in plain if c.isalnum())[:TEAM_CHARS]


def _kickoff_ms(row: Mapping[str, str]) -> int:
    day = dt.date.fromisoformat(row["date"]) - dt.date(1970, 1, 1)
    return day.days * DAY_MS + KICKOFF_MS


def _season(original_ms: int) -> str:
    date = dt.date(1970, 1, 1) + dt.timedelta(days=original_ms // DAY_MS)
    year = date.year if date.month >= SEASON_BEGINS_MONTH else date.year - 1
    return f"{year}-{(year + 1) % 100:02d}"


def _result(row: Mapping[str, str], market: str | None, ends_ms: int) -> Item:
    home, away = int(row["home_goals"]), int(row["away_goals"])
    original = _kickoff_ms(row)
    payload = MatchResultPayload(row["home"], row["away"], home, away, _season(original), original)
    outcome = 0 if home > away else 1 if home == away else 2
    evidence = ",".join((row["date"], row["league"], row["home"], row["away"], str(home), str(away))).encode()
    return Item(ends_ms, row["league"], market, "match_result", payload, None if market is None else outcome, evidence)


def _in_cycle(payload: Payload, cycle: int) -> Payload:
    if not isinstance(payload, MatchResultPayload) or cycle == 1:
        return payload
    original = payload.original_ms + (cycle - 1) * CYCLE_DAYS * DAY_MS
    return msgspec.structs.replace(payload, original_ms=original, season=_season(original))


def _attributes_in_cycle(listing: Listing, cycle: int) -> dict[str, str]:
    original = int(listing.attributes["original_ms"]) + (cycle - 1) * CYCLE_DAYS * DAY_MS
    return listing.attributes | {"season": _season(original), "original_ms": str(original)}
