"""Pooling several models' probabilities. Source: Genest and Zidek, Statistical Science 1 (1986)."""

from collections.abc import Sequence

from m0quant.errors import QuantError


def linear(forecasts: Sequence[Sequence[float]], weights: Sequence[float]) -> tuple[float, ...]:
    """The weighted mean of probability vectors of equal length.

    Raises QuantError when shapes differ, a weight is negative, or no weight is positive.
    """
    if not forecasts or len(forecasts) != len(weights) or len({len(f) for f in forecasts}) != 1:
        raise QuantError(f"{len(forecasts)} forecasts with {len(weights)} weights: need as many, of one length")
    whole = 0.0
    for weight in weights:
        if not weight >= 0.0:
            raise QuantError(f"weight {weight}: must be at least 0")
        whole += weight
    if whole <= 0.0:
        raise QuantError("weights are all zero: one must be positive")
    pooled = [0.0] * len(forecasts[0])
    for forecast, weight in zip(forecasts, weights, strict=True):
        for index, p in enumerate(forecast):
            pooled[index] += weight * p
    return tuple(p / whole for p in pooled)


def divergence(a: Sequence[float], b: Sequence[float]) -> float:
    """The total variation distance of two forecasts, from 0 (equal) to 1."""
    distance = 0.0
    for p, q in zip(a, b, strict=True):
        distance += abs(p - q)
    return 0.5 * distance
