"""Rebuild the committed sample from the package it comes from, with its errors corrected. For maintainers.

    python -m m0domains.sports.data.build data/football.json

The argument is the file of that name in the npm package `vega-datasets` 3.2.1. `corrections.csv` beside this file names
the matches whose day or score is wrong there. The same input gives the same bytes.
"""

import argparse
import csv
import io
import json
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

from m0common.errors import InvalidValue

from m0domains.rows import Row, read_rows
from m0domains.sports.dataset import COLUMNS, DATA

LEAGUES = {
    "English Premier League": "eng.1",
    "Primera Division": "es.1",
    "Serie A": "it.1",
    "Deutsche Bundesliga": "de.1",
    "Österreichische Bundesliga": "at.1",
}
CORRECTIONS = DATA.with_name("corrections.csv")
CORRECTION_COLUMNS = (*COLUMNS, "true_date", "true_home_goals", "true_away_goals", "source")


class Match(NamedTuple):
    """A row of COLUMNS; `date` is of the form 2015-08-22."""

    date: str
    league: str
    home: str
    away: str
    home_goals: int
    away_goals: int


class Correction(NamedTuple):
    """A match as the package has it and as it was played, and who says so."""

    wrong: Match
    right: Match
    source: str


def football_rows(matches: Iterable[dict[str, object]]) -> list[Match]:
    """The matches of the package, ascending; fixtures without a score are left out."""
    rows = {
        Match(
            str(m["date"]),
            LEAGUES[str(m["division"])],
            str(m["home_team"]),
            str(m["away_team"]),
            int(str(m["home_score"])),
            int(str(m["away_score"])),
        )
        for m in matches
        if m["home_score"] is not None and m["away_score"] is not None
    }
    return sorted(rows)


def read_corrections(path: pathlib.Path = CORRECTIONS) -> list[Correction]:
    """The table of corrections. Raises InvalidValue naming a bad row."""
    return [_correction(row) for row in read_rows(path, CORRECTION_COLUMNS)]


def corrected(matches: Iterable[Match], corrections: Iterable[Correction]) -> list[Match]:
    """The matches as they were played, ascending. Raises InvalidValue for a correction that is not of exactly one
    match, changes nothing or makes one match of two.
    """
    rows = set(matches)
    for wrong, right, _ in corrections:
        if wrong not in rows:
            raise InvalidValue(f"{','.join(map(str, wrong))}: no such match, or corrected twice: mend corrections.csv")
        rows.remove(wrong)
        if right == wrong or right in rows:
            raise InvalidValue(f"{','.join(map(str, right))}: is there already: remove its row from corrections.csv")
        rows.add(right)
    return sorted(rows)


def as_csv(matches: Iterable[Match]) -> bytes:
    """The bytes of the committed sample."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(matches)
    return out.getvalue().encode()


def _correction(row: Row) -> Correction:
    sides = row.text("league"), row.text("home"), row.text("away")
    wrong, right = (
        Match(
            row.date(f"{prefix}date").isoformat(),
            *sides,
            row.integer(f"{prefix}home_goals"),
            row.integer(f"{prefix}away_goals"),
        )
        for prefix in ("", "true_")
    )
    return Correction(wrong, right, row.text("source"))


def main() -> None:
    """Read the argument and write the sample beside this file."""
    parser = argparse.ArgumentParser(description="Rebuild the committed football sample.")
    parser.add_argument("source", type=pathlib.Path, help="football.json of vega-datasets 3.2.1")
    matches = football_rows(json.loads(parser.parse_args().source.read_text()))
    DATA.write_bytes(as_csv(corrected(matches, read_corrections())))


if __name__ == "__main__":
    main()
