"""What does not fit a field is refused with the project's own error."""

import pytest
from m0common.canonical import BundleHeader, Outcome, PredictionLeaf
from m0common.errors import InvalidValue

ZERO = bytes(32)
ONE = (Outcome(10**9, 10**9, 10**9),)


@pytest.mark.parametrize("change", [{"epoch_id": -1}, {"epoch_id": 1 << 64}, {"quality_flags": 1 << 32}])
def test_a_leaf_with_an_integer_out_of_range_is_refused(change):
    fields = {"epoch_id": 1, "quality_flags": 0} | change
    leaf = PredictionLeaf(ZERO, fields["epoch_id"], 0, 1, ONE, 0, fields["quality_flags"], ZERO, ZERO)
    with pytest.raises(InvalidValue, match="does not fit"):
        leaf.encode()


@pytest.mark.parametrize(("epoch_id", "leaf_count"), [(-1, 1), (1, 1 << 32)])
def test_a_header_with_an_integer_out_of_range_is_refused(epoch_id: int, leaf_count: int):
    header = BundleHeader("sports", epoch_id, 0, 1, 1, leaf_count, *[ZERO] * 6)
    with pytest.raises(InvalidValue, match="does not fit"):
        header.encode()
