"""The football sample as a dataset: a market per fixture, its result, and seasons before it as warm-up.

The source has no time of day; every match kicks off at 15:00 UTC and ends two hours later.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from m0common.errors import InvalidValue
from m0lanes.port import Refused

from m0domains.history import Dataset, Listing, Observation
from m0domains.names import short_hash, slug
from m0domains.rows import Row, read_rows
from m0domains.sports.payloads import OUTCOMES, MatchResultPayload, check
from m0domains.timeline import DAY_MS, Timeline

DATA = Path(__file__).parent / "data" / "football.csv"
COLUMNS = ("date", "league", "home", "away", "home_goals", "away_goals")
KICKOFF_MS = 15 * 3_600_000
LENGTH_MS = 2 * 3_600_000
LEAGUE_CHARS = 6
TEAM_CHARS = 14
SEASON_BEGINS_MONTH = 7
_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class FootballOptions:
    """`live_from`: date of the first live match; `open_days` before kick-off a market opens; `max_gap_days` is what a
    longer pause between match days is cut to; `titles` names the leagues.
    """

    live_from: dt.date
    open_days: int
    max_gap_days: int
    titles: Mapping[str, str]


def load(options: FootballOptions, path: Path = DATA) -> Dataset:
    """The dataset in a CSV of COLUMNS, leagues without a title left out. Raises InvalidValue naming a bad row."""
    return build(read_rows(path, COLUMNS), options)


def build(rows: Iterable[Row], options: FootballOptions) -> Dataset:
    """The dataset of these rows."""
    matches = sorted(
        (_match(row, options.titles) for row in rows if row.text("league") in options.titles),
        key=lambda match: (match.payload.original_ms, match.league, match.payload.home),
    )
    if not matches:
        raise InvalidValue(f"no match of {', '.join(sorted(options.titles))}: check the leagues in `titles`")
    timeline = Timeline([match.payload.original_ms for match in matches], options.max_gap_days * DAY_MS)
    warmup, live, listings = [], [], []
    meetings: Counter[tuple[str, ...]] = Counter()
    for match in matches:
        kickoff = timeline.virtual(match.payload.original_ms)
        if match.date < options.live_from:
            warmup.append(match.result(None, kickoff + LENGTH_MS))
            continue
        meeting = (match.date.isoformat(), match.league, match.payload.home, match.payload.away)
        market = market_id(*meeting, meetings[meeting])
        meetings[meeting] += 1
        live.append(match.result(market, kickoff + LENGTH_MS))
        listings.append(
            Listing(
                opens_ms=kickoff - options.open_days * DAY_MS,
                resolves_after_ms=kickoff,
                market=market,
                group=match.league,
                title=f"{match.payload.home} v {match.payload.away}, {match.title}, {match.date}",
                outcomes=OUTCOMES,
                attributes={
                    "home": match.payload.home,
                    "away": match.payload.away,
                    "season": match.payload.season,
                    "original_ms": str(match.payload.original_ms),
                },
            )
        )
    if not live:
        raise InvalidValue(f"no match on or after {options.live_from}: choose an earlier live_from")
    span = live[-1].at_ms - live[0].at_ms + options.max_gap_days * DAY_MS
    return Dataset(warmup, live, listings, listings[0].opens_ms, span)


def market_id(date: str, league: str, home: str, away: str, meeting: int = 0) -> str:
    """For example `FB_ENG1_20150808_ARSENAL_CHELSEA_0F1E2D3C`: readable, and told from any other match by its hash.
    `meeting` counts from 0 what the same sides play on one day.
    """
    mark = short_hash(league, date, home, away, str(meeting))
    day = date.replace("-", "")
    return f"FB_{slug(league, LEAGUE_CHARS)}_{day}_{slug(home, TEAM_CHARS)}_{slug(away, TEAM_CHARS)}_{mark}"


@dataclass(frozen=True, slots=True)
class _Match:
    date: dt.date
    league: str
    title: str
    payload: MatchResultPayload
    evidence: bytes

    def result(self, market: str | None, at_ms: int) -> Observation:
        return Observation(at_ms, self.league, market, "match_result", self.payload, self.evidence)


def _match(row: Row, titles: Mapping[str, str]) -> _Match:
    date = row.date("date")
    values = {
        "home": row.text("home"),
        "away": row.text("away"),
        "home_goals": row.integer("home_goals"),
        "away_goals": row.integer("away_goals"),
        "season": _season(date),
        "original_ms": (date - _EPOCH).days * DAY_MS + KICKOFF_MS,
    }
    payload = row.payload(MatchResultPayload, values)
    try:
        check(payload)
    except Refused as error:
        raise InvalidValue(f"{row.file}, row {row.number}: {error}") from None
    league = row.text("league")
    return _Match(date, league, titles[league], payload, ",".join(row.fields[name] for name in COLUMNS).encode())


def _season(date: dt.date) -> str:
    year = date.year if date.month >= SEASON_BEGINS_MONTH else date.year - 1
    return f"{year}-{(year + 1) % 100:02d}"
