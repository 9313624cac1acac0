"""When a forecast of a match carries a flag, and how risky it is called. Limits are parameters of the catalog."""

from collections.abc import Mapping

from m0common.canonical import FLAGS
from m0common.fixedpoint import BPS
from m0lanes.port import Distribution, View, param
from m0quant.distribution import Outcomes, disagreement, widest
from m0quant.fixed import PPB

MIN_COVERAGE_GAMES = 5
DIVERGENCE_LIMIT_PPB = 150_000_000
WIDE_INTERVAL_PPB = 350_000_000
GAMES_MAX = 1_000


def limit(view: View, name: str, default: int, most: int) -> int:
    """A parameter of the catalog, whatever it says kept between 0 and `most`."""
    return max(0, min(most, param(view, name, default)))


def judged(view: View, said: Outcomes, row: Mapping[str, int], coverage: int, divergence: float) -> Distribution:
    """`said` with its flags and risk: half of the scale for missing games, half for models that disagree.

    `coverage` is the games seen of the lesser-known team, `divergence` the distance of the models, from 0 to 1.
    """
    flags = FLAGS(0)
    short = coverage < limit(view, "min_coverage_games", MIN_COVERAGE_GAMES, GAMES_MAX)
    if short:
        flags |= FLAGS.LOW_COVERAGE
    apart = round(divergence * PPB)
    quoted = [row.get(f"quote_{index:02}_ppb", -1) for index in range(len(said))]
    outside = disagreement(said, quoted) if min(quoted) >= 0 else 0
    if max(apart, outside) > limit(view, "divergence_limit_ppb", DIVERGENCE_LIMIT_PPB, PPB):
        flags |= FLAGS.DIVERGENCE
    if widest(said) > limit(view, "wide_interval_ppb", WIDE_INTERVAL_PPB, PPB):
        flags |= FLAGS.WIDE_INTERVAL
    missing = BPS // 2 if short else BPS // (2 * (1 + coverage))
    return Distribution(said, min(BPS, missing + min(BPS // 2, apart * BPS // (2 * PPB))), flags)
