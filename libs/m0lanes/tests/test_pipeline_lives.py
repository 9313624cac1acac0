"""New lives in a pipeline: its driver gives the states and the records asked for, and it says what a fleet says."""

import random

import lanes_world as world
import pytest
from lanes_lives import AFTER, EDITED, LANES, NOTHING, anew, begun, expected, go_on, installs, rebase, roots
from lanes_toy import Coins
from m0lanes.pipeline import Pipeline
from m0lanes.stages import Heart

TWO = Heart(world.DEPLOYMENT, {world.COINS_RELEASE: Coins(), EDITED: Coins()}, bytes([6]) * 32)


def rebased(seed: int, epoch_id: int = world.FIRST + 1, lanes=LANES, release=world.COINS_RELEASE, heart=world.HEART):
    """Three epochs, a new life of these lanes from one of them, two more epochs: as a fleet has them."""
    log, fleet = begun(seed)
    fleet.instances = installs(fleet, heart)
    since = len(log.records)
    rebases = rebase(log, fleet, epoch_id, release, lanes)
    go_on(log, fleet, [3, 4], since)
    return log, fleet, rebases


def parked(follower: world.Follower) -> list[str]:
    return [r.parked for core in follower.pipeline.cores for r in core.reports() if r.parked]


def epochs(closed) -> list[int]:
    return [epoch.header.epoch_id for epoch in closed]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("waits", [0.0, 0.9])
def test_a_life_from_a_marker_is_the_one_that_the_fleet_lived_whenever_its_states_come(seed: int, waits: float):
    log, fleet, rebases = rebased(seed, world.FIRST + seed % 3, LANES[:1] if seed % 2 else LANES)
    rng = random.Random(seed)
    follower = world.Follower(waits=lambda: rng.random() < waits)
    closed = follower.play(log.records)
    assert world.headers(closed) == fleet.topics.headers()
    assert roots(world.headers(closed)) == expected(log.records, *rebases)
    assert {lane.life for lane in closed[-1].header.lanes if lane.partition == LANES[0]} == {1}
    assert follower.pipeline.letters == []
    assert parked(follower) == []


@pytest.mark.parametrize("seed", range(4))
def test_a_life_under_another_release_follows_the_one_before_in_one_chain(seed: int):
    log, fleet, _ = rebased(seed, release=EDITED, heart=AFTER)
    closed = world.Follower(TWO).play(log.records)
    assert world.headers(closed) == fleet.topics.headers()
    assert {lane.release for lane in closed[-1].header.lanes} == {EDITED}


@pytest.mark.parametrize("seed", range(4))
def test_a_life_from_the_beginning_reads_the_log_again(seed: int):
    log, fleet = begun(seed)
    since = len(log.records)
    anew(log, world.COINS_RELEASE)
    go_on(log, fleet, [3, 4], since)
    assert world.headers(world.Follower().play(log.records)) == fleet.topics.headers()


@pytest.mark.parametrize("behind", [1, 6])
def test_a_life_begins_behind_a_gap_where_the_rebase_says_so(behind: int):
    log, fleet = begun(2)
    since = len(log.records)
    made, offset = fleet.topics.roots(LANES[0], world.FIRST)
    log.rebase(LANES[0], world.FIRST, made, offset + behind)
    go_on(log, fleet, [3, 4], since)
    assert world.headers(world.Follower().play(log.records)) == fleet.topics.headers()


def test_states_that_others_have_said_serve_as_well():
    log, fleet, _ = rebased(1)
    wanted = []

    def load(asked):
        wanted.append((asked.lane.partition, asked.stage, asked.epoch_id))
        return fleet.instances[0]._load(asked)

    assert world.headers(world.Follower(load=load).play(log.records)) == fleet.topics.headers()
    assert sorted(wanted) == [(lane, stage, world.FIRST + 1) for lane in LANES for stage in (1, 2, 3)]


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_lane_whose_state_is_not_to_be_had_parks_and_the_next_life_repairs_it(stage: int):
    log, fleet, _ = rebased(1, lanes=LANES[:1])
    lost = True
    follower = world.Follower(load=lambda load: None if lost and load.stage == stage else follower.keeper.load(load))
    assert epochs(follower.play(log.records)) == [world.FIRST, world.FIRST + 1, world.FIRST + 2]
    (reason,) = parked(follower)
    assert f"no state of stage {stage} of lane coins/{LANES[0]} at epoch {world.FIRST + 1}" in reason
    assert "m0 lane rebase coins" in reason
    lost = False
    since = len(log.records)
    log.rebase(LANES[0], 0, NOTHING, 0, life=2)
    go_on(log, fleet, [5], since)
    assert epochs(follower.play(log.records[since:])) == [world.FIRST + 3, world.FIRST + 4, world.FIRST + 5]
    assert parked(follower) == []


def test_while_a_lane_waits_for_its_state_the_others_go_on_and_its_old_life_says_nothing():
    log, _, _ = rebased(1, lanes=LANES[:1])
    pipeline = Pipeline(world.HEART)
    assert epochs(world.play(log.records, pipeline)) == [world.FIRST, world.FIRST + 1, world.FIRST + 2]
    (load,) = pipeline.loads
    assert (load.lane.partition, load.stage, load.epoch_id) == (LANES[0], 1, world.FIRST + 1)
    at = {r.lane.partition: r.epoch_id for r in pipeline.cores[0].reports()}
    assert at == {lane: world.FIRST + (2 if lane == LANES[0] else 4) for lane in LANES}


def test_of_two_lives_that_begin_before_the_first_has_its_state_the_second_goes_on():
    log, fleet = begun(1)
    since = len(log.records)
    rebase(log, fleet, world.FIRST, world.COINS_RELEASE)
    rebase(log, fleet, world.FIRST + 1, world.COINS_RELEASE, life=2)
    go_on(log, fleet, [3, 4], since)
    for seed in range(6):
        rng = random.Random(seed)
        follower = world.Follower(waits=lambda rng=rng: rng.random() < 0.8)
        assert world.headers(follower.play(log.records)) == fleet.topics.headers()
        assert parked(follower) == []


def test_an_answer_that_nobody_waits_for_any_more_changes_nothing():
    log, fleet = begun(1)
    pipeline = Pipeline(world.HEART)
    world.play(log.records, pipeline)
    since = len(log.records)
    rebase(log, fleet, world.FIRST, world.COINS_RELEASE, LANES[:1])
    world.play(log.records[since:], pipeline)
    (old,) = pipeline.loads
    since = len(log.records)
    rebase(log, fleet, world.FIRST + 1, world.COINS_RELEASE, LANES[:1], life=2)
    world.play(log.records[since:], pipeline)
    assert pipeline.answer(old, None) == []
    (load,) = pipeline.loads
    assert load.epoch_id == world.FIRST + 1
    assert [r.parked for core in pipeline.cores for r in core.reports() if r.parked] == []


def test_a_life_that_nobody_here_can_live_is_passed_over_up_to_the_one_that_somebody_can():
    log, fleet = begun(1)
    gone = bytes([99]) * 32
    since = len(log.records)
    rebase(log, fleet, world.FIRST + 2, gone)
    rebase(log, fleet, world.FIRST + 2, world.COINS_RELEASE, life=3)
    rebase(log, fleet, world.FIRST + 2, gone, life=2)
    go_on(log, fleet, [3], since)
    assert world.headers(world.Follower().play(log.records)) == fleet.topics.headers()
