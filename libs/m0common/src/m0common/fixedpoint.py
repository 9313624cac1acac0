"""Probabilities and scores as integers: what is hashed never holds a float."""

from collections.abc import Sequence

from m0common.errors import InvalidValue

PPB = 1_000_000_000
BPS = 10_000


def round_half_even(numerator: int, denominator: int) -> int:
    """`numerator / denominator` rounded half to even, in integers alone."""
    if denominator <= 0:
        raise InvalidValue(f"denominator {denominator}: must be positive")
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def largest_remainder(weights: Sequence[int], total: int = PPB) -> list[int]:
    """Split `total` in proportion to non-negative integer `weights`; the parts sum to `total` exactly.

    Ties go to the lower index. Raises InvalidValue when the weights are negative, empty or all zero.
    Source: Hamilton's method of apportionment.
    """
    whole = sum(weights)
    if whole <= 0 or min(weights) < 0:
        raise InvalidValue(f"weights {list(weights)}: need non-negative integers with a positive sum")
    parts = [w * total // whole for w in weights]
    rests = [w * total % whole for w in weights]
    missing = total - sum(parts)
    for index in sorted(range(len(parts)), key=lambda i: (-rests[i], i))[:missing]:
        parts[index] += 1
    return parts
