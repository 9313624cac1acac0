"""How often a member joins tells that it is not alone under its name."""

import pytest
from m0common.stream import joins
from m0common.stream.joins import OFTEN, WITHIN_S, Joins


@pytest.fixture
def clock(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(joins, "monotonic", lambda: clock[0])
    return clock


def joined(member, clock, times, every_s):
    known = Joins(member)
    for _ in range(times):
        clock[0] += every_s
        known.joined()
    return known


def test_a_member_that_joins_about_every_second_has_a_twin_until_it_stays(clock):
    known = joined("model-host-0", clock, OFTEN, 1.2)
    assert "another process runs as model-host-0 too" in known.problem()
    clock[0] += WITHIN_S
    assert known.problem() is None


@pytest.mark.parametrize(
    ("member", "times", "every_s"), [("m", OFTEN - 1, 1.0), ("m", 3 * OFTEN, 10.0), (None, 3 * OFTEN, 1.0)]
)
def test_a_fleet_that_is_rolled_and_members_without_a_name_are_no_twins(clock, member, times, every_s):
    assert joined(member, clock, times, every_s).problem() is None
