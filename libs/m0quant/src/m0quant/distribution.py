"""Probabilities with intervals as they are hashed: `(p, lo, hi)` per outcome in parts per billion."""

from collections.abc import Sequence

from m0quant.errors import QuantError
from m0quant.fixed import PPB, simplex, to_fixed

Outcomes = tuple[tuple[int, int, int], ...]


def rounded(p: Sequence[float], lo: Sequence[float], hi: Sequence[float]) -> Outcomes:
    """Rounded so that the outcomes sum to exactly 1e9 and every interval holds its probability and lies in 0 to 1e9.

    Raises QuantError when the lengths differ, or `p` is no distribution, or a bound is not finite.
    """
    if not len(p) == len(lo) == len(hi):
        raise QuantError(f"{len(p)} probabilities with {len(lo)} and {len(hi)} bounds: need as many")
    return tuple(
        (whole, max(0, min(whole, to_fixed(low, PPB))), min(PPB, max(whole, to_fixed(high, PPB))))
        for whole, low, high in zip(simplex(p), lo, hi, strict=True)
    )


def widest(outcomes: Outcomes) -> int:
    """Width of the widest interval, in ppb."""
    return max((hi - lo for _, lo, hi in outcomes), default=0)


def disagreement(outcomes: Outcomes, others: Sequence[int]) -> int:
    """Total variation distance in ppb to somebody else's probabilities in ppb; 0 without any, or for other outcomes."""
    if len(outcomes) != len(others):
        return 0
    apart: list[int] = [abs(p - other) for (p, _, _), other in zip(outcomes, others, strict=True)]
    return sum(apart) // 2
