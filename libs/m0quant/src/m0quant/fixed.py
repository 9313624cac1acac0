"""Floats to scaled integers and back: what is stored or hashed never holds a float."""

import math
from collections.abc import Sequence

from m0quant.errors import QuantError

PPB = 1_000_000_000


def to_fixed(value: float, scale: int) -> int:
    """`value * scale` rounded half to even. Raises QuantError when the value is not finite."""
    if not math.isfinite(value):
        raise QuantError(f"{value}: only a finite number has a fixed-point form")
    return round(value * scale)


def from_fixed(value: int, scale: int) -> float:
    """The float nearest to `value / scale`."""
    return value / scale


def simplex(p: Sequence[float]) -> tuple[int, ...]:
    """Probabilities in parts per billion that sum to exactly 1e9, by the largest remainder (ties go to the lower
    index).

    `p` need not be normalized. Raises QuantError when it is empty, negative, not finite, or all zero. Every float is a
    ratio of integers, so the shares are computed exactly and no rounding of an intermediate decides a tie.
    """
    for value in p:
        if not math.isfinite(value) or value < 0.0:
            raise QuantError(f"probabilities {list(p)}: need finite numbers of at least 0")
    ratios = [value.as_integer_ratio() for value in map(float, p)]
    common = max((d for _, d in ratios), default=1)  # denominators are powers of two
    weights: list[int] = [n * (common // d) for n, d in ratios]
    whole = sum(weights)
    if whole <= 0:
        raise QuantError(f"probabilities {list(p)}: their sum must be positive")
    parts: list[int] = [w * PPB // whole for w in weights]
    rests = [w * PPB % whole for w in weights]
    missing = PPB - sum(parts)
    for index in sorted(range(len(parts)), key=lambda i: (-rests[i], i))[:missing]:
        parts[index] += 1
    return tuple(parts)
