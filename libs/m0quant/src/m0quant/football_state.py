"""The state of a football league: integers alone, after every result, in pieces that each have a bound.

A league is its LeagueState, a TeamState per team, and a PairState per two teams of which one was at home to the other;
names of teams are the owner's keys. Teams and pairs are aged when they are read, so that a result writes two teams and
one pair, however many there are.
"""

from typing import NamedTuple

RATING_SCALE = 1_000_000
"""Elo points, in millionths."""
WEIGHT_SCALE = 1_000_000
"""Decayed games and goals, in millionths."""
GOALS_MAX = 99
TEAMS_MAX = 64
"""Teams that one league ever has. It bounds the work of a fit, which grows with its square."""


class LeagueState(NamedTuple):
    """`results` seen; `season` the current one (the year it began) and `first_season`; `reference_day` at which a new
    result weighs 1.
    """

    results: int = 0
    season: int = 0
    first_season: int = 0
    reference_day: int = 0


class TeamState(NamedTuple):
    """One team: whether it joined after the first season, rating (scale RATING_SCALE) in `season`, games seen."""

    promoted: bool
    rating: int
    season: int
    games: int


class PairState(NamedTuple):
    """What a team played at home to another: weighted games, home and away goals (scale WEIGHT_SCALE), as they weigh at
    `reference_day`.
    """

    games: int
    home_goals: int
    away_goals: int
    reference_day: int


def aged(pair: PairState, reference_day: int, half_life: int) -> PairState:
    """The pair as it weighs at a later reference day, whole half-lives of days later: nothing, once it is less than a
    hundredth of a game.
    """
    games, home_goals, away_goals, since = pair
    steps = (reference_day - since) // half_life
    while steps > 0 and games > 0:
        games, home_goals, away_goals = halved(games), halved(home_goals), halved(away_goals)
        if games * 100 < WEIGHT_SCALE:
            games = home_goals = away_goals = 0
        steps -= 1
    return PairState(games, home_goals, away_goals, reference_day)


def halved(weight: int) -> int:
    """Half of a weight, rounded half to even."""
    return (weight + (weight >> 1 & 1)) >> 1
