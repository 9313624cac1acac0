"""Replay behind what raw has lost: of lanes that an epoch does not name it asks for nothing."""

import contextlib
from functools import partial

import lanes_world as world
import pytest
from m0replay.irreplayable import Irreplayable
from m0replay.replay import replay_epoch
from unread_world import A, B, C, Gaps, at_random


async def replayed(course: Gaps, epoch: int, *, full: bool = False):
    log = course.recorded
    return await replay_epoch(log.broker, log.heart, log.final, "coins", world.FIRST + epoch, full=full)


async def check_match(course: Gaps, epochs, *, full: bool = False) -> None:
    for epoch in epochs:
        verdict = await replayed(course, epoch, full=full)
        assert verdict.match, (epoch, full, verdict.difference)


@pytest.mark.parametrize("anew", [False, True], ids=["from a marker", "anew"])
@pytest.mark.parametrize("others", [(C,), (A, C), (A, B, C)], ids=["moved", "to two", "widened"])
async def test_every_epoch_behind_a_gap_that_has_swallowed_a_move_is_replayed(others: tuple[int, ...], anew: bool):
    course = Gaps(B)
    await course.end(2)
    await course.loses(B, partial(course.to, *others), partial(course.end, 2))
    await course.repair(B, from_beginning=anew)
    await course.end(3)
    assert set(course.closed()) >= {0, 1, 6, 7}
    await check_match(course, course.closed()[2:])


@pytest.mark.parametrize("anew", [False, True], ids=["from a marker", "anew"])
async def test_every_epoch_behind_a_gap_is_replayed_where_another_lane_has_ended_before(anew: bool):
    course = Gaps(A, B)
    await course.end(2)
    await course.to(B)
    await course.end()
    await course.loses(B, course.end, partial(course.to, C), course.end)
    await course.repair(B, from_beginning=anew)
    await course.end(3)
    assert course.closed() == [0, 1, 2, 3, 6, 7, 8, 9]
    await check_match(course, course.closed()[4:])


@pytest.mark.parametrize("anew", [False, True], ids=["from a marker", "anew"])
async def test_every_epoch_behind_a_gap_of_one_of_its_lanes_is_replayed(anew: bool):
    course = Gaps(A, B)
    await course.end(2)
    await course.loses(B, partial(course.end, 2))
    await course.end()
    await course.repair(B, from_beginning=anew)
    await course.end(3)
    assert set(course.closed()) >= {0, 1, 6, 7}
    await check_match(course, course.closed()[2:])


@pytest.mark.parametrize("full", [False, True])
async def test_where_raw_has_lost_nothing_that_closed_epochs_name_they_are_replayed_from_the_beginning_too(full: bool):
    course = Gaps(A)
    await course.end(2)
    await course.to(B)
    await course.loses(B, course.end)
    await course.repair(B, from_beginning=True)
    await course.end(3)
    assert course.closed() == [0, 1, 2, 5, 6]
    await check_match(course, course.closed(), full=full)


async def test_a_generation_that_no_header_names_and_whose_lane_raw_has_lost_is_passed_over():
    course = Gaps(A)
    await course.end(2)
    await course.to(B)
    await course.loses(B, course.end, partial(course.to, C), course.end)
    await course.repair(B, from_beginning=True)
    await course.end(3)
    assert B not in {lane.partition for header in course.recorded.headers().values() for lane in header.lanes}
    await check_match(course, course.closed())
    await check_match(course, [0, 1, 2], full=True)
    with pytest.raises(Irreplayable, match=r"read before offset \d+: replay without FULL=1"):
        await replayed(course, course.closed()[3], full=True)


@pytest.mark.parametrize("seed", range(40 if world.SOAK else 4))
async def test_whatever_gaps_swallow_an_epoch_matches_or_cannot_be_replayed(seed: int):
    course = await at_random(seed)
    for epoch in course.closed():
        for full in (False, True):
            with contextlib.suppress(Irreplayable):
                await check_match(course, [epoch], full=full)
