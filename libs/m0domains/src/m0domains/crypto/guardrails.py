"""When a forecast from a book carries a flag or is blocked. Limits are parameters of the catalog."""

from collections.abc import Mapping

from m0common.canonical import FLAGS
from m0lanes.port import View, param
from m0quant.consensus import Consensus
from m0quant.distribution import Outcomes, disagreement, widest
from m0quant.fixed import PPB

STALE_MS = 15_000
BLOCK_STALE_MS = 120_000
MIN_DEPTH_MILLI = 100_000
WIDE_INTERVAL_PPB = 350_000_000
DIVERGENCE_LIMIT_PPB = 150_000_000
MOST = 1 << 62


def limit(view: View, name: str, default: int, most: int = MOST) -> int:
    """A parameter of the catalog, whatever it says kept between 0 and `most`."""
    return max(0, min(most, param(view, name, default)))


def too_old(view: View, age_ms: int) -> bool:
    """Whether a book of that age means nothing any more."""
    return age_ms > limit(view, "block_stale_ms", BLOCK_STALE_MS)


def flags(view: View, said: Outcomes, row: Mapping[str, int], seen: Consensus, age_ms: int) -> FLAGS:
    """The flags of a forecast that is not blocked."""
    found = FLAGS(0)
    if age_ms > limit(view, "stale_ms", STALE_MS):
        found |= FLAGS.STALE
    if seen.depth_milli < limit(view, "min_depth_milli", MIN_DEPTH_MILLI) or seen.one_sided:
        found |= FLAGS.THIN_BOOK
    if widest(said) > limit(view, "wide_interval_ppb", WIDE_INTERVAL_PPB, PPB):
        found |= FLAGS.WIDE_INTERVAL
    quoted = [row.get(f"quote_{index:02}_ppb", -1) for index in range(len(said))]
    outside = disagreement(said, quoted) if min(quoted) >= 0 else 0
    if outside > limit(view, "divergence_limit_ppb", DIVERGENCE_LIMIT_PPB, PPB):
        found |= FLAGS.DIVERGENCE
    return found
