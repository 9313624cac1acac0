"""How often a member lost its place tells that it is not alone under its name."""

import pytest
from m0common.stream import joins
from m0common.stream.joins import OFTEN, SESSIONS, Joins

SESSION_S = 6.0


@pytest.fixture
def clock(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(joins, "monotonic", lambda: clock[0])
    return clock


def joined(name, clock, ids, every_s):
    known = Joins(name, SESSION_S)
    for each in ids:
        clock[0] += every_s
        known.joined(each)
    return known


def test_a_member_that_loses_its_place_about_every_second_has_a_twin_until_it_stays(clock):
    known = joined("model-host-0", clock, map(str, range(OFTEN + 1)), 1.2)
    assert known.problem().startswith("another process runs as model-host-0 too: stop one of them")
    clock[0] += SESSIONS * SESSION_S
    assert known.problem() is None


@pytest.mark.parametrize(
    ("name", "ids", "every_s"),
    [
        pytest.param("m", ["id"] * 40, 0.1, id="a fleet that is rolled"),
        pytest.param("m", map(str, range(OFTEN)), 1.0, id="too few times"),
        pytest.param("m", map(str, range(40)), SESSION_S + 0.5, id="a process that hangs"),
        pytest.param("m", ["a", ""] * 20, 0.1, id="an id that is no more"),
        pytest.param(None, map(str, range(40)), 1.0, id="a member without a name"),
    ],
)
def test_others_have_no_twin(clock, name, ids, every_s):
    assert joined(name, clock, ids, every_s).problem() is None


def test_a_connection_that_is_opened_anew_again_and_again_is_no_twin(clock):
    known = Joins("m", SESSION_S)
    for number in range(40):
        known.begin()
        known.joined(str(number))
    assert known.problem() is None
