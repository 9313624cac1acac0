"""What is hashed of a forecast."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0quant.distribution import disagreement, rounded, widest
from m0quant.errors import QuantError

shares = st.floats(0, 1)


@given(st.lists(st.tuples(st.floats(0.001, 1), st.floats(-1, 2), st.floats(-1, 2)), min_size=2, max_size=8))
def test_outcomes_sum_to_one_and_lie_in_their_intervals(rows):
    outcomes = rounded(*zip(*rows, strict=True))
    assert sum(p for p, _, _ in outcomes) == 1_000_000_000
    assert all(0 <= lo <= p <= hi <= 1_000_000_000 for p, lo, hi in outcomes)
    assert widest(outcomes) == max(hi - lo for _, lo, hi in outcomes)


def test_what_is_no_distribution_is_refused():
    for p, lo, hi in (
        ((), (), ()),
        ((1.0,), (0.0,), ()),
        ((float("nan"), 1.0), (0, 0), (1, 1)),
        ((0.0,), (0.0,), (1.0,)),
    ):
        with pytest.raises(QuantError):
            rounded(p, lo, hi)


def test_disagreement_is_the_total_variation_distance():
    outcomes = rounded((0.2, 0.8), (0, 0), (1, 1))
    assert disagreement(outcomes, (600_000_000, 400_000_000)) == 400_000_000
    assert disagreement(outcomes, ()) == 0
    assert widest(()) == 0
