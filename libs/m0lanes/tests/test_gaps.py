"""Lanes go on behind what raw has lost: they come into the generation in force, and the catalog closes its epochs."""

import lanes_world as world
import pytest
from lanes_gaps import Gaps
from lanes_lives import LANES
from lanes_story import FIRST

SEEDS = 300 if world.SOAK else 8
SWITCHES = (22, 27, 120, 184)
"""Courses in which gaps swallow several generations, of lanes that end and return."""


@pytest.fixture
def course():
    made = Gaps(1)
    made.end()
    made.end()
    return made


def ends(course: Gaps, epochs: int):
    def happens():
        for _ in range(epochs):
            course.end()

    return happens


@pytest.mark.parametrize("anew", [False, True], ids=["from a marker", "anew"])
@pytest.mark.parametrize("carried", [False, True], ids=["no copy", "a copy of the set"])
@pytest.mark.parametrize("lanes", [LANES[:1], LANES], ids=["one lane", "all lanes"])
@pytest.mark.parametrize("gap", [1, 3, 12])
def test_a_catalog_goes_on_behind_a_gap_of_any_length(course: Gaps, gap: int, lanes, carried: bool, anew: bool):
    begins = course.loses(lanes, ends(course, gap), carried=carried)
    course.end()
    course.repair(begins, anew=anew)
    ends(course, 5)()
    course.check()
    lost = set(range(FIRST + 2, FIRST + 2 + gap))
    assert lost.isdisjoint(epoch for _, epoch in course.fleet.topics.headers())


@pytest.mark.parametrize("anew", [False, True], ids=["from a marker", "anew"])
@pytest.mark.parametrize("lanes", [LANES[:1], LANES], ids=["one lane", "all lanes"])
def test_a_switch_that_raw_has_lost_is_joined(course: Gaps, lanes, anew: bool):
    begins = course.loses(lanes, course.set)
    course.end()
    course.repair(begins, anew=anew)
    ends(course, 3)()
    course.set()
    course.end()
    course.check()
    assert course.fleet.topics.letters == {}


@pytest.mark.parametrize("seed", sorted({*range(SEEDS), *SWITCHES}))
def test_whatever_a_gap_swallows_live_and_chain_close_the_same_epochs_and_nothing_waits_for_ever(seed: int):
    course = Gaps(seed)
    rng = course.rng
    course.end()
    for _ in range(rng.randrange(1, 4)):
        course.end()
        lanes = tuple(sorted(rng.sample(course.lanes, rng.randrange(1, len(course.lanes) + 1))))
        begins = course.loses(lanes, course.something, carried=rng.random() < 0.5)
        for _ in range(rng.randrange(3)):
            course.end()
        course.repair(begins, anew=rng.random() < 0.5)
        course.end()
        course.flush(until_idle=rng.random() < 0.5)
        if rng.random() < 0.5:
            course.flush()
            rng.choice(course.fleet.instances).start()
    course.end()
    course.end()
    course.check()
