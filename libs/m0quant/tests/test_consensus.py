"""What an order book or a set of quotes implies."""

import numpy as np
import pytest
import scipy
from hypothesis import assume, given
from hypothesis import strategies as st
from m0quant import consensus
from m0quant.errors import QuantError
from m0quant.fixed import PPB

CENT = 10_000_000


@st.composite
def books(draw):
    prices = sorted(draw(st.sets(st.integers(1, 99), min_size=2, max_size=12)))
    cut = draw(st.integers(0, len(prices)))
    sizes = draw(st.lists(st.integers(1, 10**7), min_size=len(prices), max_size=len(prices)))
    levels = [(price * CENT, size) for price, size in zip(prices, sizes, strict=True)]
    return levels[:cut][::-1], levels[cut:]


@given(books())
def test_the_probability_lies_inside_its_interval_and_the_spread(book):
    bids, asks = book
    found = consensus.from_book(bids, asks)
    assert 0 <= found.lo <= found.p <= found.hi <= 1
    assert (bids[0][0] if bids else 0) <= found.p * PPB + 1e-3
    assert found.p * PPB <= (asks[0][0] if asks else PPB) + 1e-3
    assert found.one_sided == (not bids or not asks)


@given(books(), st.integers(0, 10**9))
def test_risk_is_in_range_and_grows_with_age(book, age_ms):
    found = consensus.from_book(*book)
    fresh, older = consensus.risk_bps(found, 0), consensus.risk_bps(found, age_ms)
    assert 0 <= fresh <= older <= consensus.BPS


def test_the_heavier_side_pushes_the_price_towards_the_other():
    bids, asks = [(40 * CENT, 3_000_000)], [(50 * CENT, 1_000_000)]
    assert consensus.from_book(bids, asks).p == pytest.approx(0.475)
    assert consensus.from_book([(40 * CENT, 1000)], [(50 * CENT, 1000)]).p == pytest.approx(0.45)


def test_a_thin_book_has_a_wider_interval_and_more_risk():
    deep = consensus.from_book([(40 * CENT, 5_000_000)], [(50 * CENT, 5_000_000)])
    thin = consensus.from_book([(40 * CENT, 5_000)], [(50 * CENT, 5_000)])
    assert thin.lo < deep.lo == 0.4
    assert thin.hi > deep.hi == 0.5
    assert consensus.risk_bps(thin, 0) > consensus.risk_bps(deep, 0)


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([], []),
        ([(50 * CENT, 1)], [(50 * CENT, 1)]),
        ([(40 * CENT, 1), (41 * CENT, 1)], []),
        ([], [(40 * CENT, 1), (40 * CENT, 1)]),
        ([(0, 1)], []),
        ([], [(PPB, 1)]),
        ([(40 * CENT, 0)], []),
    ],
)
def test_books_that_make_no_sense_are_refused(bids, asks):
    with pytest.raises(QuantError):
        consensus.from_book(bids, asks)


METHODS = (consensus.devig_multiplicative, consensus.devig_power, consensus.devig_shin)


@st.composite
def implied_by_odds(draw):
    """Two to five prices of at most 0.9 that sum to more than 1 and at most 1.6."""
    weights = draw(st.lists(st.floats(0.02, 0.9), min_size=2, max_size=5))
    shares = [weight / sum(weights) for weight in weights]
    most = min(1.6, 0.9 / max(shares))
    assume(most > 1.0)
    whole = draw(st.floats(1.0, most, exclude_min=True))
    implied = [share * whole for share in shares]
    assume(sum(implied) > 1.0)
    return implied


@given(implied_by_odds())
def test_every_method_gives_a_distribution_in_the_same_order(implied):
    for method in METHODS:
        p = method(implied)
        assert sum(p) == pytest.approx(1.0, abs=1e-9)
        for i, one in enumerate(implied):
            for j, other in enumerate(implied):
                assert one <= other or p[i] >= p[j] - 1e-12


def test_fair_quotes_stay_as_they_are():
    for method in METHODS:
        assert method([0.5, 0.3, 0.2]) == pytest.approx((0.5, 0.3, 0.2), abs=1e-9)


def test_power_and_shin_solve_their_equations():
    implied = [1 / 1.5, 1 / 4.2, 1 / 7.5]
    k = scipy.optimize.brentq(lambda k: sum(q**k for q in implied) - 1, 0.5, 3, xtol=1e-14)
    assert consensus.devig_power(implied) == pytest.approx([q**k for q in implied], abs=1e-9)
    whole = sum(implied)

    def shin(z):
        return (np.sqrt(z * z + 4 * (1 - z) * np.square(implied) / whole) - z) / (2 * (1 - z))

    z = scipy.optimize.brentq(lambda z: shin(z).sum() - 1, 0, 0.5, xtol=1e-14)
    assert consensus.devig_shin(implied) == pytest.approx(shin(z), abs=1e-9)


@pytest.mark.parametrize("implied", [[], [0.5], [0.5, 0.0], [0.5, float("nan")], [0.5, -1.0]])
def test_quotes_that_make_no_sense_are_refused(implied):
    for method in METHODS:
        with pytest.raises(QuantError):
            method(implied)
