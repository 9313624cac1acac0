"""Copies of signed records: whoever may write can carry them into any lane at any time, and nothing comes of it."""

import lanes_world as world
import pytest
from lanes_copies import Copies
from lanes_steps import FIRST, agrees, epochs, errors, opened, parked, ran, where
from m0common.stream.core import Cut

STAYS, COMES, NEW = sorted({where(group): group for group in world.GROUPS}.values())


def corrected(mistake: tuple[str, ...]) -> world.World:
    """A set with a mistake is written and corrected before it takes force; its lanes that are no others have it."""
    log = opened((STAYS,))
    log.define(2, groups=mistake)
    log.define(2, groups=(STAYS,))
    log.end(FIRST + 1, following=2)
    return log


@pytest.mark.parametrize("names", ["nothing", "a set read here", "a set that is not"])
def test_a_marker_carried_into_a_lane_that_a_corrected_set_named_by_mistake_is_a_letter(names: str):
    log = corrected(tuple(sorted((STAYS, NEW))))
    following = None if names == "nothing" else 3
    if following:
        groups = (STAYS,) if names == "a set that is not" else tuple(sorted((STAYS, COMES)))
        log.define(3, groups=groups)
    if names == "a set read here":
        log.define(3, groups=groups, partitions=[where(NEW)])
    marker, *_ = log.end(FIRST + 2, following=following)
    log.raw(where(NEW), marker.value)
    number = log.in_force + 1
    log.define(number, groups=tuple(sorted((STAYS, NEW))))
    log.end(FIRST + 3, following=number)
    log.open(NEW, "NEW", log.now_ms)
    log.end(FIRST + 4)
    closed, chain = ran(log)
    assert parked(chain) == []
    assert "wrong_partition" in errors(chain)
    assert epochs(closed) == [FIRST + n for n in range(5)]
    assert "NEW" in world.leaves(closed)[FIRST + 4]
    agrees(log)


def test_a_lane_that_the_set_in_force_names_and_that_never_heard_it_begin_still_parks():
    log = opened((STAYS,))
    log.define(2, groups=tuple(sorted((STAYS, NEW))))
    log.end(FIRST + 1, following=2, partitions=[where(STAYS)])
    log.end(FIRST + 2)
    (reason,) = parked(ran(log)[1])
    assert "generation 2, which never began here" in reason


def test_copies_of_what_is_about_a_lane_cost_it_no_checkpoint():
    log = opened((STAYS,))
    log.define(2, groups=(STAYS,))
    core = world.HEART.normalize()
    for record in log.records:
        list(core.feed(record))
    for record in [record for record in log.records if record.partition == where(STAYS)]:
        copy = log.raw(record.partition, record.value)
        assert not [output for output in core.feed(copy) if isinstance(output, Cut)], record.value
    log.end(FIRST + 1, following=2)
    log.raw(where(STAYS), log.values[2])
    log.end(FIRST + 2)
    agrees(log)


@pytest.mark.parametrize("seed", range(25 if not world.SOAK else 2_000))
def test_copies_of_anything_signed_park_nothing_and_keep_no_epoch_open(seed: int):
    story = Copies(seed)
    for _ in range(10):
        story.something()
    story.end()
    story.flush()
    assert story.fleet.parked() == []
    plain = world.headers(world.Follower(world.HEART).play(story.without()))
    assert story.fleet.topics.headers().keys() == plain.keys()
