"""Poisson goals with attack and defence strengths and the Dixon-Coles correction of low scores.

Source: Dixon and Coles, Applied Statistics 46 (1997). Strengths are the maximum of the posterior with gamma priors of
mean `prior` (Maher's model), found by iterative proportional fitting: each strength is goals over exposure.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from m0quant import detmath

RATE_MIN, RATE_MAX = 0.01, 30.0
"""Expected goals of one side are kept inside these, whatever was learned."""


@dataclass(frozen=True, slots=True)
class DixonColesParams:
    """`half_life` of a result's weight in days; `shrink` strength of the prior in goals; `promoted_attack` and
    `promoted_defence` prior means for teams that joined after the first season; `rho` dependence of low scores;
    `base_home`, `base_away` prior goals per game and `base_games` their weight in games; `passes` of one fit.
    """

    half_life: int = 365
    shrink: float = 10.0
    promoted_attack: float = 0.85
    promoted_defence: float = 1.15
    rho: float = -0.06
    base_home: float = 1.5
    base_away: float = 1.15
    base_games: float = 50.0
    passes: int = 12


@dataclass(frozen=True, slots=True)
class Played:
    """What teams, by index, have played. `at_home[i][j]` is the weight of games of `i` at home to `j`, `abroad[j][i]`
    the same; `scored` and `conceded` are weighted goals of each, `home_goals` and `away_goals` of all.
    """

    at_home: Sequence[Sequence[float]]
    abroad: Sequence[Sequence[float]]
    scored: Sequence[float]
    conceded: Sequence[float]
    home_goals: float
    away_goals: float


@dataclass(frozen=True, slots=True)
class Fit:
    """Strengths of every team by index (1.0 is the league's mean) and the league's goals per game. Defence above 1
    concedes more.
    """

    attack: Sequence[float]
    defence: Sequence[float]
    home: float
    away: float


def fitted(
    params: DixonColesParams, played: Played, prior_attack: Sequence[float], prior_defence: Sequence[float]
) -> Fit:
    """The strengths after `params.passes` passes that begin at the priors: a function of its arguments alone."""
    shrink = params.shrink
    scored = [goals + shrink * mean for goals, mean in zip(played.scored, prior_attack, strict=True)]
    conceded = [goals + shrink * mean for goals, mean in zip(played.conceded, prior_defence, strict=True)]
    home_goals = params.base_games * params.base_home + played.home_goals
    away_goals = params.base_games * params.base_away + played.away_goals
    attack, defence = list(prior_attack), list(prior_defence)
    home, away = params.base_home, params.base_away
    for _ in range(params.passes):
        hosting = [_dot(row, defence) for row in played.at_home]
        visiting = [_dot(row, defence) for row in played.abroad]
        attack = [goals / (shrink + home * h + away * v) for goals, h, v in zip(scored, hosting, visiting, strict=True)]
        hosted = [_dot(row, attack) for row in played.abroad]
        visited = [_dot(row, attack) for row in played.at_home]
        defence = [
            goals / (shrink + home * h + away * v) for goals, h, v in zip(conceded, hosted, visited, strict=True)
        ]
        home = home_goals / (params.base_games + _dot(attack, hosting))
        away = away_goals / (params.base_games + _dot(attack, visiting))
    return Fit(attack, defence, home, away)


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    """Added from left to right, as `sum` does not on every Python."""
    return reduce(operator.add, map(operator.mul, left, right), 0.0)


def most_goals(rate: float) -> int:
    """How many goals of one side are looked at: more come up less than once in 10^8 matches."""
    return 10 + int(2.5 * rate)


def poisson(rate: float, most: int) -> list[float]:
    """Probabilities of 0 to `most` goals at `rate`."""
    p = detmath.exp(-rate)
    row = [p]
    for k in range(1, most + 1):
        p = p * rate / k
        row.append(p)
    return row


def outcome_probabilities(home_rate: float, away_rate: float, rho: float) -> tuple[float, float, float]:
    """`(home, draw, away)` from expected goals and the correction tau(rho) of the scores 0-0, 0-1, 1-0 and 1-1.

    `rho` is kept inside the bounds that leave every probability at least zero, the rates inside RATE_MIN and RATE_MAX;
    what little mass lies beyond `most_goals` is spread by normalizing.
    """
    home_rate, away_rate = (max(RATE_MIN, min(RATE_MAX, rate)) for rate in (home_rate, away_rate))
    most = most_goals(max(home_rate, away_rate))
    rho = max(-1.0 / home_rate, -1.0 / away_rate, min(rho, 1.0 / (home_rate * away_rate), 1.0))
    h, a = poisson(home_rate, most), poisson(away_rate, most)
    home = draw = away = 0.0
    below_h = below_a = 0.0  # mass of fewer goals than k
    for of_h, of_a in zip(h, a, strict=True):
        home += of_h * below_a
        away += of_a * below_h
        draw += of_h * of_a
        below_h += of_h
        below_a += of_a
    draw += h[0] * a[0] * (-home_rate * away_rate * rho) + h[1] * a[1] * -rho
    home += h[1] * a[0] * (away_rate * rho)
    away += h[0] * a[1] * (home_rate * rho)
    home, draw, away = max(0.0, home), max(0.0, draw), max(0.0, away)
    whole = home + draw + away
    return home / whole, draw / whole, away / whole


def decay(days: int, half_life: int) -> float:
    """`2 ** (days / half_life)`: how much more a result `days` later weighs."""
    return detmath.exp(detmath.log(2.0) * days / half_life)
