"""Proper scores and calibration of probability forecasts. Lower is better everywhere.

Sources: Brier, Monthly Weather Review 78 (1950); Epstein, J. Applied Meteorology 8 (1969) for the ranked probability
score; Naeini et al., AAAI (2015) for the expected calibration error.
"""

import math
from collections.abc import Sequence

from m0quant import detmath
from m0quant.errors import QuantError

SMALLEST = 1e-15
"""Probabilities below this count as this in `log_loss`, so that one wrong certainty does not make a mean infinite."""


def _check(p: Sequence[float], outcome: int) -> None:
    if not 0 <= outcome < len(p):
        raise QuantError(f"outcome {outcome} of {len(p)}: it must be an index into the forecast")
    if any(not 0.0 <= value <= 1.0 for value in p) or abs(detmath.total(p) - 1.0) > 1e-6:
        raise QuantError(f"forecast {list(p)}: need probabilities that sum to one")


def brier(p: Sequence[float], outcome: int) -> float:
    """The sum over outcomes of squared errors, from 0 to 2 (the original, multi-category form)."""
    _check(p, outcome)
    return detmath.total(
        (value - (1.0 if i == outcome else 0.0)) * (value - (1.0 if i == outcome else 0.0)) for i, value in enumerate(p)
    )


def log_loss(p: Sequence[float], outcome: int) -> float:
    """Minus the natural logarithm of the probability given to what happened."""
    _check(p, outcome)
    return -detmath.log(max(SMALLEST, p[outcome]))


def rps(p: Sequence[float], outcome: int) -> float:
    """The ranked probability score of ordered outcomes, over `len(p) - 1` so that it lies in [0, 1]."""
    _check(p, outcome)
    if len(p) < 2:
        return 0.0
    below, score = 0.0, 0.0
    for i in range(len(p) - 1):
        below += p[i]
        error = below - (1.0 if outcome <= i else 0.0)
        score += error * error
    return score / (len(p) - 1)


def ece(p: Sequence[float], happened: Sequence[bool], bins: int = 10) -> float:
    """Expected calibration error: the mean gap between forecast and frequency over `bins` equal-width bins, by
    weight.
    """
    if not p or len(p) != len(happened) or bins < 1:
        raise QuantError(f"{len(p)} forecasts, {len(happened)} outcomes, {bins} bins: need as many, and at least one")
    count, mass, hits = [0] * bins, [0.0] * bins, [0] * bins
    for value, hit in zip(p, happened, strict=True):
        if not 0.0 <= value <= 1.0:
            raise QuantError(f"forecast {value}: must lie in [0, 1]")
        index = min(bins - 1, math.floor(value * bins))
        count[index] += 1
        mass[index] += value
        hits[index] += int(hit)
    return detmath.total(abs(m - h) for m, h in zip(mass, hits, strict=True)) / len(p)
