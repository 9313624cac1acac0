"""Fixed point and the probability simplex."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0quant.errors import QuantError
from m0quant.fixed import PPB, from_fixed, simplex, to_fixed

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=32).filter(lambda p: sum(p) > 0)


@given(probabilities)
def test_a_simplex_sums_to_one_billion_exactly(p):
    assert sum(simplex(p)) == PPB


@given(probabilities)
def test_each_part_is_within_one_unit_of_its_exact_share(p):
    whole = sum(map(Fraction, p))
    for part, value in zip(simplex(p), p, strict=True):
        assert abs(part - Fraction(value) * PPB / whole) < 1


def test_ties_go_to_the_lower_index():
    assert simplex([1.0, 1.0, 1.0]) == (333_333_334, 333_333_333, 333_333_333)


@given(probabilities, st.randoms())
def test_the_parts_do_not_depend_on_order_but_for_ties(p, random):
    shuffled = list(p)
    random.shuffle(shuffled)
    assert sorted(simplex(p)) == sorted(simplex(shuffled))


@pytest.mark.parametrize("p", [[], [0.0, 0.0], [-0.1, 1.1], [math.nan, 1.0], [math.inf, 1.0]])
def test_what_is_no_distribution_is_refused(p):
    with pytest.raises(QuantError):
        simplex(p)


def test_rounding_is_half_to_even():
    assert [to_fixed(x, 1) for x in (0.5, 1.5, 2.5, -0.5, -1.5)] == [0, 2, 2, 0, -2]
    assert from_fixed(to_fixed(0.25, PPB), PPB) == 0.25
    with pytest.raises(QuantError):
        to_fixed(math.nan, PPB)
