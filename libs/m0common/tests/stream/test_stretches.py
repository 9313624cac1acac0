"""Stretches are a set of offsets, whatever they were added in."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from m0common.stream.stretches import Stretches

stretches = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6)


def offsets(found) -> set[int]:
    return {offset for start, end in found for offset in range(start, end)}


@given(stretches, stretches)
@settings(max_examples=200)
def test_stretches_are_merged_and_taken_from_one_another_as_sets(some, others):
    one, other = Stretches(some), Stretches(others)
    assert offsets(one) == offsets(some)
    assert offsets(one.without(other)) == offsets(some) - offsets(others)
    for found in (list(one), list(one.without(other))):
        assert all(start < end for start, end in found)
        assert all(end < start for (_, end), (start, _) in pairwise(found))
