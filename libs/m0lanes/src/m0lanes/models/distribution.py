"""What a model says of one market, ready to be hashed."""

from collections.abc import Sequence
from dataclasses import dataclass

from m0common.canonical import FLAGS
from m0common.fixedpoint import BPS, PPB
from m0common.messages import FeatureRow
from m0quant.fixed import simplex, to_fixed


@dataclass(frozen=True, slots=True)
class Distribution:
    """`outcomes` are `(p, lo, hi)` in ppb in registry order, none when blocked."""

    outcomes: tuple[tuple[int, int, int], ...]
    risk_bps: int
    flags: FLAGS

    @classmethod
    def blocked(cls, why: FLAGS) -> "Distribution":
        """No outcomes, full risk, and the reason."""
        return cls((), BPS, FLAGS.BLOCKED | why)

    @classmethod
    def of(
        cls, p: Sequence[float], lo: Sequence[float], hi: Sequence[float], risk_bps: int, flags: FLAGS
    ) -> "Distribution":
        """Rounded to ppb so that the outcomes sum to exactly 1e9 and every interval holds its probability."""
        outcomes = tuple(
            (whole, max(0, min(whole, to_fixed(low, PPB))), min(PPB, max(whole, to_fixed(high, PPB))))
            for whole, low, high in zip(simplex(p), lo, hi, strict=True)
        )
        return cls(outcomes, max(0, min(BPS, risk_bps)), flags)

    def widest(self) -> int:
        """Width of the widest interval, in ppb."""
        return max((hi - lo for _, lo, hi in self.outcomes), default=0)


def disagreement(outcomes: Sequence[tuple[int, int, int]], row: FeatureRow) -> int:
    """Total variation distance in ppb to the outside quote in the row; 0 without one."""
    quoted = dict(row.values)
    if "quote_00_ppb" not in quoted:
        return 0
    return sum(abs(p - quoted.get(f"quote_{i:02}_ppb", 0)) for i, (p, _, _) in enumerate(outcomes)) // 2
