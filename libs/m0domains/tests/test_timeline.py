"""Virtual time and anchors."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from m0common.errors import InvalidValue
from m0domains.timeline import DAY_MS, Anchor, Timeline

moments = st.lists(st.integers(0, 10**13), min_size=1, max_size=50)


@given(moments, st.integers(1, 10**10))
def test_order_is_kept_and_no_gap_is_longer_than_allowed(times, gap):
    line = Timeline(times, gap)
    ordered = sorted(set(times))
    virtual = [line.virtual(t) for t in ordered]
    for (a, b), (x, y) in zip(pairwise(ordered), pairwise(virtual), strict=True):
        assert 0 < y - x == min(b - a, gap)


def test_only_moments_have_a_virtual_time():
    with pytest.raises(InvalidValue):
        Timeline([1, 3], 10).virtual(2)
    with pytest.raises(InvalidValue):
        Timeline([], 10)


@given(st.integers(0, 10**13), st.integers(0, 10**13), st.integers(1, DAY_MS), st.integers(-(10**11), 10**11))
def test_now_and_virtual_time_are_inverse_up_to_the_coarser_clock(now, virtual, day, delta):
    anchor = Anchor(0, now, virtual, day)
    there = anchor.now_of(virtual + delta)
    back = anchor.virtual_of(there)
    assert 0 <= virtual + delta - back <= DAY_MS // day + 1
    assert anchor.now_of(virtual) == now
