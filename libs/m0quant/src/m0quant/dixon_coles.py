"""Poisson goals with attack and defence strengths and the Dixon-Coles correction of low scores.

Source: Dixon and Coles, Applied Statistics 46 (1997). Strengths are the maximum of the posterior with gamma priors of
mean `prior` (Maher's model), found by iterative proportional fitting: each strength is goals over exposure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from m0quant import detmath

RATE_MIN, RATE_MAX = 0.01, 30.0
"""Expected goals of one side are kept inside these, whatever was learned."""


@dataclass(frozen=True, slots=True)
class DixonColesParams:
    """`half_life` of a result's weight in days; `shrink` strength of the prior in goals; `promoted_attack` and
    `promoted_defence` prior means for teams that joined after the first season; `rho` dependence of low scores;
    `base_home`, `base_away` prior goals per game and `base_games` their weight in games; `passes` of fitting per
    result.
    """

    half_life: int = 365
    shrink: float = 10.0
    promoted_attack: float = 0.85
    promoted_defence: float = 1.15
    rho: float = -0.06
    base_home: float = 1.5
    base_away: float = 1.15
    base_games: float = 50.0
    passes: int = 2


@dataclass(slots=True)
class Fit:
    """Strengths of every team by id (1.0 is the league's mean) and the league's goals per game. Defence above 1
    concedes more.
    """

    attack: list[float]
    defence: list[float]
    home: float
    away: float


Pair = tuple[int, int, float, float, float]
"""`(home id, away id, weighted games, weighted home goals, weighted away goals)`."""


def fitted(
    params: DixonColesParams,
    pairs: Sequence[Pair],
    start: Fit,
    prior_attack: Sequence[float],
    prior_defence: Sequence[float],
) -> Fit:
    """`start` after `params.passes` passes over the pairs, which must come in a fixed order (floats do not
    associate).
    """
    count = len(start.attack)
    attack, defence = list(start.attack), list(start.defence)
    home_rate, away_rate = start.home, start.away
    shrink = params.shrink
    scored = [shrink * m for m in prior_attack]
    conceded = [shrink * m for m in prior_defence]
    home_goals = params.base_games * params.base_home
    away_goals = params.base_games * params.base_away
    for i, j, _, hg, ag in pairs:
        scored[i] += hg
        scored[j] += ag
        conceded[i] += ag
        conceded[j] += hg
        home_goals += hg
        away_goals += ag
    for _ in range(params.passes):
        exposure = [shrink] * count
        for i, j, games, _, _ in pairs:
            exposure[i] += games * home_rate * defence[j]
            exposure[j] += games * away_rate * defence[i]
        attack = [g / e for g, e in zip(scored, exposure, strict=True)]
        exposure = [shrink] * count
        home_exposure = away_exposure = params.base_games
        for i, j, games, _, _ in pairs:
            at_home, abroad = games * attack[i], games * attack[j]
            exposure[j] += home_rate * at_home
            exposure[i] += away_rate * abroad
            home_exposure += at_home * defence[j]
            away_exposure += abroad * defence[i]
        defence = [g / e for g, e in zip(conceded, exposure, strict=True)]
        home_rate, away_rate = home_goals / home_exposure, away_goals / away_exposure
    return Fit(attack, defence, home_rate, away_rate)


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
