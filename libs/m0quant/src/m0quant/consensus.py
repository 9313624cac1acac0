"""The probability an order book or a set of quotes implies.

Prices are parts per billion, sizes thousandths of a contract, both integers. Sources: microprice, Gatheral and Oomen,
Finance and Stochastics 14 (2010); removal of the margin: Clarke, Kovalchik and Ingram, Am. J. Sports Science 5 (2017);
Shin, Economic Journal 103 (1993) in the fixed-point form of Jullien and Salanié (1994).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from m0quant import detmath
from m0quant.errors import QuantError
from m0quant.fixed import PPB

BPS = 10_000
Level = tuple[int, int]
"""`(price_ppb, size_milli)`."""


@dataclass(frozen=True, slots=True)
class BookParams:
    """`levels` of each side that count, weighted by `decay` per level; `full_depth_milli` the depth (both sides) at
    which the depth risk is nil; `stale_ms` the age at which the staleness risk is full; `no_side_penalty_ppb`
    half-width added for a one-sided book.
    """

    levels: int = 5
    decay: float = 0.5
    full_depth_milli: int = 2_000_000
    stale_ms: int = 60_000
    no_side_penalty_ppb: int = 100_000_000


@dataclass(frozen=True, slots=True)
class Consensus:
    """`p`, `lo`, `hi` of the side the book is for; `spread_ppb` between the best prices; `depth_milli` counted on
    both sides; `one_sided` when a side was empty and 0 or 1 stood in for it.
    """

    p: float
    lo: float
    hi: float
    spread_ppb: int
    depth_milli: int
    one_sided: bool


def _side(levels: Sequence[Level], params: BookParams, *, descending: bool) -> tuple[int, float, int]:
    """`(best price, weighted size, depth)` of one side, after checking it is sorted and inside (0, 1)."""
    last = None
    weight, weighted, depth = 1.0, 0.0, 0
    for price, size in levels[: params.levels]:
        if not 0 < price < PPB or size <= 0:
            raise QuantError(f"level ({price}, {size}): price must lie between 0 and {PPB} ppb and size be positive")
        if last is not None and (price >= last if descending else price <= last):
            raise QuantError(f"level ({price}, {size}) after price {last}: levels go from the best price outwards")
        last = price
        weighted += weight * size
        weight *= params.decay
        depth += size
    return levels[0][0], weighted, depth


def from_book(bids: Sequence[Level], asks: Sequence[Level], params: BookParams | None = None) -> Consensus:
    """The depth-weighted microprice: the better-filled side pushes the price towards the other one.

    The interval reaches from the best bid to the best ask, widened as depth thins. Raises QuantError on an empty or
    crossed book and on levels out of order.
    """
    params = params or BookParams()
    if not bids and not asks:
        raise QuantError("an empty book implies no probability: skip it")
    bid, bid_weight, bid_depth = _side(bids, params, descending=True) if bids else (0, 0.0, 0)
    ask, ask_weight, ask_depth = _side(asks, params, descending=False) if asks else (PPB, 0.0, 0)
    if bid >= ask:
        raise QuantError(f"crossed book: bid {bid} ppb is not below ask {ask} ppb")
    one_sided = not bids or not asks
    spread, depth = ask - bid, bid_depth + ask_depth
    share = 0.5 if one_sided else bid_weight / (bid_weight + ask_weight)
    price = bid + share * spread
    thin = 1.0 - min(1.0, depth / params.full_depth_milli)
    margin = 0.5 * spread * thin + (params.no_side_penalty_ppb if one_sided else 0)
    return Consensus(
        p=price / PPB,
        lo=max(0.0, (bid - margin) / PPB),
        hi=min(1.0, (ask + margin) / PPB),
        spread_ppb=spread,
        depth_milli=depth,
        one_sided=one_sided,
    )


def risk_bps(consensus: Consensus, age_ms: int, params: BookParams | None = None) -> int:
    """Risk from 0 to 10,000: staleness, missing depth and spread, each a share of its limit, combined as independent
    risks.
    """
    params = params or BookParams()
    stale = min(1.0, max(0, age_ms) / params.stale_ms)
    thin = 0.5 * (1.0 - min(1.0, consensus.depth_milli / params.full_depth_milli))
    wide = min(1.0, consensus.spread_ppb / PPB)
    safe = (1.0 - stale) * (1.0 - thin) * (1.0 - wide) * (0.5 if consensus.one_sided else 1.0)
    return round(BPS * (1.0 - safe))


def _check_implied(implied: Sequence[float]) -> float:
    if len(implied) < 2 or any(not 0.0 < q < math.inf for q in implied):
        raise QuantError(
            f"implied probabilities {list(implied)}: need at least two positive numbers (1 / decimal odds)"
        )
    return detmath.total(implied)


def devig_multiplicative(implied: Sequence[float]) -> tuple[float, ...]:
    """Each implied probability over their sum."""
    whole = _check_implied(implied)
    return tuple(q / whole for q in implied)


def devig_power(implied: Sequence[float]) -> tuple[float, ...]:
    """`q ** k` with the k that makes them sum to one, by bisection. Each must be below 1."""
    _check_implied(implied)
    if max(implied) >= 1.0:
        raise QuantError(f"implied probabilities {list(implied)}: the power method needs each below 1")
    logs = [detmath.log(q) for q in implied]
    low, high = 0.0, 1.0
    while detmath.total(detmath.exp(high * value) for value in logs) > 1.0:
        low, high = high, 2.0 * high
    for _ in range(80):
        k = 0.5 * (low + high)
        if detmath.total(detmath.exp(k * value) for value in logs) > 1.0:
            low = k
        else:
            high = k
    return devig_multiplicative([detmath.exp(0.5 * (low + high) * value) for value in logs])


def devig_shin(implied: Sequence[float]) -> tuple[float, ...]:
    """Shin's probabilities: the margin protects the bookmaker from a share z of informed bettors.

    With a sum of one or less there is no margin to explain and the multiplicative method is used.
    """
    whole = _check_implied(implied)
    if whole <= 1.0:
        return devig_multiplicative(implied)

    def shares(z: float) -> list[float]:
        return [(math.sqrt(z * z + 4.0 * (1.0 - z) * q * q / whole) - z) / (2.0 * (1.0 - z)) for q in implied]

    low, high = 0.0, 0.999
    for _ in range(80):
        z = 0.5 * (low + high)
        if detmath.total(shares(z)) > 1.0:
            low = z
        else:
            high = z
    return devig_multiplicative(shares(0.5 * (low + high)))
