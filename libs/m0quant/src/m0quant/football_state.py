"""The state of a football league: integers alone, after every result, in pieces that each have a bound.

A league is its LeagueState, and per team a TeamState and the pairs that it played at home. The names of teams are the
owner's keys. `(opponent id, games, home goals, away goals)` of a pair are decayed sums, scale WEIGHT_SCALE.
"""

from typing import NamedTuple

RATING_SCALE = 1_000_000
"""Elo points, in millionths."""
STRENGTH_SCALE = 1_000_000_000
"""Attack and defence strengths and goals per game, in billionths."""
STRENGTH_MAX = 1_000 * STRENGTH_SCALE
WEIGHT_SCALE = 1_000_000
"""Decayed games and goals, in millionths."""
GOALS_MAX = 99
TEAMS_MAX = 500
"""Teams of one league. It bounds a team's pairs and how many pieces a result can change."""

Pair = tuple[int, int, int, int]


class LeagueState(NamedTuple):
    """`results` seen; `season` the current one (the year it began) and `first_season`; `reference_day` at which a new
    result weighs 1; the league's goals per game (0: nothing fitted yet), scale STRENGTH_SCALE.
    """

    results: int = 0
    season: int = 0
    first_season: int = 0
    reference_day: int = 0
    home_rate: int = 0
    away_rate: int = 0


class TeamState(NamedTuple):
    """One team: its id (order of first result), whether it joined after the first season, rating (scale RATING_SCALE),
    games seen, and strengths (scale STRENGTH_SCALE).
    """

    team_id: int
    promoted: bool
    rating: int
    games: int
    attack: int
    defence: int


def halved(pair: Pair) -> Pair:
    """Half of every weight, rounded half to even."""
    opponent, *sums = pair
    games, home, away = ((value + (value >> 1 & 1)) >> 1 for value in sums)
    return opponent, games, home, away


def weighs_nothing(pair: Pair) -> bool:
    """Whether a pair is to be forgotten: less than a hundredth of a game."""
    return pair[1] * 100 < WEIGHT_SCALE


def as_floats(home: int, pair: Pair) -> tuple[int, int, float, float, float]:
    """The pair as the fit reads it."""
    opponent, games, home_goals, away_goals = pair
    return home, opponent, games / WEIGHT_SCALE, home_goals / WEIGHT_SCALE, away_goals / WEIGHT_SCALE
