"""Consumer groups of lane stages."""

import pytest
from m0common.stream.groups import StageGroup

BUILD = bytes(range(32))


def test_a_build_of_a_stage_has_a_name_that_says_both():
    group = StageGroup.of("model", BUILD)
    assert str(group) == "m0-model-0001020304"
    assert StageGroup.named(str(group)) == group


@pytest.mark.parametrize("name", ["m0-indexer", "model", "", "-", "somebody-elses-model-0001020304"])
def test_the_name_of_another_group_names_no_stage(name):
    assert StageGroup.named(name).stage not in ("normalize", "feature", "model", "bundle")
