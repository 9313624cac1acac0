"""A catalog moves between lanes behind a gap that has swallowed the moves: it goes on, and a chain says the same."""

import lanes_world as world
import pytest
from lanes_gaps import Gaps
from lanes_story import FIRST
from m0lanes.bundle import AHEAD_MAX
from m0lanes.generations import partition_of

SEEDS = 1_000 if world.SOAK else 8
MOVES = (4, 66, 151, 172)
"""Courses in which gaps that overlap swallow whole generations of other lanes."""
BY_LANE = {partition_of(group, world.PARTITIONS): group for group in reversed(world.GROUPS)}
A, B, C = sorted(BY_LANE)[:3]
ANEW = pytest.mark.parametrize("anew", [False, True], ids=["from a marker", "anew"])


class Moves(Gaps):
    """A catalog whose lanes change."""

    def to(self, *lanes: int) -> None:
        """It moves to these lanes."""
        self.groups = tuple(sorted(BY_LANE[lane] for lane in lanes))
        self.set()

    def ends(self, epochs: int) -> None:
        for _ in range(epochs):
            self.end()

    def closed(self) -> list[int]:
        return sorted(epoch - FIRST for _, epoch in self.fleet.topics.headers())


@ANEW
def test_a_lane_that_has_ended_in_order_does_not_hold_up_one_behind_a_gap(anew: bool):
    course = Moves(1)
    course.to(A, B)
    course.ends(2)
    course.flush()

    def happens():
        course.end()
        course.to(B)
        course.end()
        course.to(C)
        course.end()

    begins = course.loses((B,), happens)
    course.end()
    course.repair(begins, anew=anew)
    course.ends(2)
    course.check()
    assert course.closed() == [0, 1, 2, 7, 8, 9, 10]


@ANEW
@pytest.mark.parametrize("other", [(C,), (B, C)], ids=["moved", "widened"])
def test_a_catalog_goes_on_behind_a_gap_however_many_epochs_were_said_meanwhile(other: tuple[int, ...], anew: bool):
    course = Moves(1)
    course.to(B)
    course.ends(2)
    course.flush()

    def happens():
        course.to(*other)
        course.ends(AHEAD_MAX + 1)
        course.set()
        course.end()

    begins = course.loses((B,), happens)
    course.repair(begins, anew=anew)
    course.ends(2)
    course.check()


def test_what_lanes_said_of_generations_that_nobody_leads_to_is_missed_and_named_in_the_next_header():
    course = Moves(1)
    course.to(B)
    course.flush()

    def happens():
        course.to(C)
        course.ends(2)
        course.to(C)

    course.repair(course.loses((B,), happens), anew=False)
    course.ends(2)
    course.check()
    assert course.closed() == [0, 5, 6]
    assert course.fleet.topics.message(FIRST + 5).missed == tuple(range(FIRST + 1, FIRST + 5))


@pytest.mark.parametrize("seed", sorted({*range(SEEDS), *MOVES}))
def test_whatever_moves_a_gap_swallows_live_and_chain_close_the_same_epochs_and_nothing_waits_for_ever(seed: int):
    course = Moves(seed)
    rng = course.rng

    def something():
        for _ in range(rng.randrange(1, 5)):
            match rng.choice(("epoch", "move", "move", "move", "retire", "set")):
                case "set":
                    course.set()
                case "move":
                    course.groups = tuple(sorted(rng.sample(world.GROUPS, rng.randrange(1, 3))))
                    course.set()
                case "retire":
                    course.set(retired=True, groups=())
                    course.set()
                case _:
                    course.end()

    course.end()
    for _ in range(rng.randrange(1, 3)):
        course.end()
        if not course.lanes:
            course.set()
        lanes = tuple(sorted(rng.sample(course.lanes, rng.randrange(1, len(course.lanes) + 1))))
        begins = course.loses(lanes, something, carried=rng.random() < 0.5)
        course.ends(rng.randrange(3))
        course.repair(begins, anew=rng.random() < 0.5)
        course.end()
        course.flush(until_idle=rng.random() < 0.5)
    course.ends(2)
    course.check()
