"""Intervals around a probability from the amount of evidence behind it.

A probability backed by `evidence` equivalent observations is read as the mean of a Beta posterior; its central interval
is approximated by Wilson's, which needs no quantile function and always contains the point.
Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927); Brown, Cai and DasGupta, Statistical Science 16 (2001).
"""

import math

from m0quant.errors import QuantError

Z90 = 1.6448536269514722
"""Standard normal quantile of a central 90 % interval."""


def wilson(p: float, evidence: float, z: float = Z90) -> tuple[float, float]:
    """`(lo, hi)` with `0 <= lo <= p <= hi <= 1`. Raises QuantError unless `0 <= p <= 1` and `evidence > 0`."""
    if not 0.0 <= p <= 1.0 or not evidence > 0.0:
        raise QuantError(f"interval of p={p} with evidence {evidence}: need 0 <= p <= 1 and positive evidence")
    share = z * z / evidence
    centre = (p + 0.5 * share) / (1.0 + share)
    half = z / (1.0 + share) * math.sqrt(p * (1.0 - p) / evidence + 0.25 * share / evidence)
    return min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half))
