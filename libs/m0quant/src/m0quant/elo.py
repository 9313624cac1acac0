"""Elo ratings for matches with home advantage, goal margin and season regression.

Source: A. Elo, The Rating of Chessplayers (1978); the margin multiplier and its correction for favourites are those of
FiveThirtyEight's NFL ratings (2014); three-way use follows Hvattum and Arntzen, Int. J. Forecasting 26 (2010).
"""

from dataclasses import dataclass

from m0quant import detmath

_LN10_OVER_400 = 0.005756462732485115


@dataclass(frozen=True, slots=True)
class EloParams:
    """`k` points a result is worth; `home` points of home advantage; `keep` share of the distance to `mean` that
    survives a season break; `promoted` rating of a team that joins after the first season.
    """

    k: float = 16.0
    home: float = 65.0
    mean: float = 1500.0
    keep: float = 0.95
    promoted: float = 1420.0


def expected(params: EloParams, home_rating: float, away_rating: float) -> float:
    """The expected score of the home team, from 0 to 1."""
    return detmath.sigmoid(_LN10_OVER_400 * (home_rating - away_rating + params.home))


def margin_multiplier(goal_difference: int, winner_lead: float) -> float:
    """How much more than a draw or a one-goal win a result counts.

    `winner_lead` is the winner's rating minus the loser's, home advantage included.
    """
    goals = abs(goal_difference)
    if goals == 0:
        return 1.0
    return detmath.log1p(float(goals)) * (2.2 / (max(winner_lead, -1000.0) * 0.001 + 2.2)) / detmath.log(2.0)


def updated(
    params: EloParams, home_rating: float, away_rating: float, home_goals: int, away_goals: int
) -> tuple[float, float]:
    """Both ratings after a result; their sum is conserved up to rounding."""
    diff = home_goals - away_goals
    lead = home_rating - away_rating + params.home
    score = 1.0 if diff > 0 else 0.5 if diff == 0 else 0.0
    weight = margin_multiplier(diff, lead if diff > 0 else -lead)
    step = params.k * weight * (score - expected(params, home_rating, away_rating))
    return home_rating + step, away_rating - step


def regressed(params: EloParams, rating: float) -> float:
    """The rating after a season break: drawn towards the mean."""
    return params.mean + params.keep * (rating - params.mean)
