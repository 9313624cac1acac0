"""The committed football sample: its package with every correction applied, English matches on the day of play."""

import csv
import datetime as dt
import hashlib
import os
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from m0common.errors import InvalidValue
from m0domains.rows import read_rows
from m0domains.sports import dataset as football
from m0domains.sports.data.build import Correction, Match, as_csv, corrected, read_corrections

PACKAGE = "6b5baa88556dcdf52e9978e818341d84aa3453b0159c56d70edb195e70af81fb"
"""sha256 of the sample as vega-datasets 3.2.1 has it, before any correction."""
MEETINGS = {"at.1": 2, "de.1": 1, "eng.1": 1, "es.1": 1, "it.1": 1}
"""How often a side receives another in a season."""
OTHER_NAMES = {
    "Cardiff": "Cardiff City",
    "Hull": "Hull City",
    "Leicester": "Leicester City",
    "Man City": "Manchester City",
    "Man United": "Manchester United",
    "Newcastle": "Newcastle United",
    "QPR": "Queens Park Rangers",
    "Stoke": "Stoke City",
    "Tottenham": "Tottenham Hotspur",
    "West Brom": "West Bromwich Albion",
    "West Ham": "West Ham United",
}
"""Teams that football-data.co.uk names otherwise than the sample."""


@pytest.fixture(scope="module")
def sample():
    return [
        Match(*(row.text(name) for name in football.COLUMNS[:4]), row.integer("home_goals"), row.integer("away_goals"))
        for row in read_rows(football.DATA, football.COLUMNS)
    ]


@pytest.fixture(scope="module")
def corrections():
    return read_corrections()


def season(date):
    """The year in which the season of this day began."""
    day = dt.date.fromisoformat(date)
    return day.year if day.month >= football.SEASON_BEGINS_MONTH else day.year - 1


def test_the_sample_is_the_package_with_every_correction_applied_to_one_match(sample, corrections):
    package = corrected(sample, [Correction(right, wrong, source) for wrong, right, source in corrections])
    assert hashlib.sha256(as_csv(package)).hexdigest() == PACKAGE
    assert as_csv(corrected(package, corrections)) == football.DATA.read_bytes()
    assert len({wrong for wrong, *_ in corrections}) == len({right for _, right, _ in corrections}) == len(corrections)


def test_a_correction_moves_a_match_within_its_season(corrections):
    for wrong, right, _ in corrections:
        assert wrong[1:4] == right[1:4]
        assert season(wrong.date) == season(right.date)


@pytest.mark.parametrize(
    ("wrong", "right", "why"),
    [
        (("2015-01-03", "A", "B", 1, 0), ("2015-01-04", "A", "B", 1, 0), "no such match"),
        (("2015-01-01", "A", "B", 2, 0), ("2015-01-01", "A", "B", 1, 1), "no such match"),
        (("2015-01-01", "A", "B", 1, 0), ("2015-01-01", "A", "B", 1, 0), "already"),
        (("2015-01-01", "A", "B", 1, 0), ("2015-01-02", "A", "B", 1, 0), "already"),
    ],
)
def test_a_correction_of_no_match_or_to_no_effect_is_refused(wrong, right, why):
    rows = [Match(date, "it.1", "A", "B", 1, 0) for date in ("2015-01-01", "2015-01-02")]
    wrong, right = (Match(date, "it.1", *rest) for date, *rest in (wrong, right))
    with pytest.raises(InvalidValue, match=why):
        corrected(rows, [Correction(wrong, right, "test")])


def test_no_match_is_corrected_twice():
    first, second = (Match("2015-01-01", "it.1", "A", "B", goals, 0) for goals in (1, 2))
    with pytest.raises(InvalidValue, match="corrected twice"):
        corrected([first], [Correction(first, second, "test")] * 2)


def test_every_pair_meets_home_and_away_in_every_season(sample):
    assert len(sample) == 6504
    met = Counter((row.league, season(row.date), row.home, row.away) for row in sample)
    teams = defaultdict(set)
    for league, year, home, away in met:
        teams[league, year] |= {home, away}
    assert len(teams) == 20
    assert met == {
        (league, year, home, away): MEETINGS[league]
        for (league, year), names in teams.items()
        for home in names
        for away in names
        if home != away
    }


def test_no_english_team_plays_on_two_days_running(sample):
    days = defaultdict(list)
    for row in sample:
        if row.league != "eng.1":
            continue  # the days of the other leagues are the package's own
        for team in (row.home, row.away):
            days[row.league, team].append(dt.date.fromisoformat(row.date))
    for played in days.values():
        played.sort()
        assert all((later - earlier).days >= 2 for earlier, later in pairwise(played))


@pytest.mark.parametrize(
    "match",
    [
        ("2013-08-24", "eng.1", "Stoke City", "Crystal Palace", 2, 1),
        ("2014-01-11", "eng.1", "Fulham", "Sunderland", 1, 4),
        ("2014-05-03", "eng.1", "Newcastle United", "Cardiff City", 3, 0),
        ("2014-05-04", "eng.1", "Arsenal", "West Bromwich Albion", 1, 0),
        ("2015-04-29", "eng.1", "Leicester City", "Chelsea", 1, 3),
        ("2016-05-17", "eng.1", "Manchester United", "Bournemouth", 3, 1),
    ],
)
def test_known_matches_have_the_day_and_score_they_were_played_with(sample, match):
    assert Match(*match) in sample


def test_no_english_match_differs_from_another_source(sample):
    """A date before the match was played would let a forecast see ahead."""
    folder = os.environ.get("M0_BACKTEST_DATA")
    if not folder:
        pytest.skip("M0_BACKTEST_DATA names no folder of other results")
    other = set()
    for year in range(13, 17):
        path = Path(folder) / "epl" / f"epl{year}{year + 1}.csv"
        with path.open(encoding="latin-1", newline="") as file:
            for row in csv.DictReader(file):
                if row["Date"]:
                    day, month, last = (int(part) for part in row["Date"].replace("-", "/").split("/"))
                    date = dt.date(2000 + last % 100, month, day).isoformat()
                    sides = (OTHER_NAMES.get(row[side], row[side]) for side in ("HomeTeam", "AwayTeam"))
                    other.add(Match(date, "eng.1", *sides, int(row["FTHG"]), int(row["FTAG"])))
    assert {row for row in sample if row.league == "eng.1"} == other
