"""New lives: a lane goes on from a marker or from the beginning, under its own release or another one."""

import lanes_world as world
import pytest
from lanes_fleet import Fleet
from lanes_lives import (
    AFTER,
    EDITED,
    LANES,
    NEIGHBOUR,
    NOTHING,
    anew,
    begun,
    expected,
    go_on,
    installs,
    rebase,
    roots,
)
from lanes_steps import NEW_KEY, certificate
from lanes_toy import Coins
from m0common.stream.records import Produce
from m0common.topics import FEATURES, NORMALIZED, PREDICTIONS
from m0lanes.generations import lanes_of
from m0lanes.keeper import Keeper
from m0lanes.pipeline import Pipeline
from m0lanes.stages import Heart


@pytest.mark.parametrize("seed", range(8))
def test_a_life_from_an_older_marker_says_the_same_leaves_whenever_processes_die(seed: int):
    log, fleet = begun(seed, dies=0.05)
    since = len(log.records)
    rebases = rebase(log, fleet, world.FIRST + seed % 3, world.COINS_RELEASE, LANES[:1] if seed % 2 else LANES)
    go_on(log, fleet, [3, 4], since)
    assert roots(fleet.topics.headers()) == expected(log.records, *rebases)
    assert fleet.topics.letters == {}
    assert fleet.parked() == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dies", [0.0, 0.05])
def test_an_edited_release_goes_on_when_the_old_one_is_gone(seed: int, dies: float):
    log, fleet = begun(seed)
    fleet.instances = installs(fleet, AFTER, dies)
    since = len(log.records)
    rebases = rebase(log, fleet, world.FIRST + 2, EDITED)
    go_on(log, fleet, [3, 4], since)
    assert roots(fleet.topics.headers()) == expected(log.records, *rebases)
    assert {lane.life for lane in fleet.topics.message(world.FIRST + 3).lanes} == {1}
    assert {lane.release for lane in fleet.topics.message(world.FIRST + 4).lanes} == {EDITED}
    assert fleet.topics.letters == {}
    assert fleet.parked() == []


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dies", [0.0, 0.05])
@pytest.mark.parametrize("back", [0, 1, None], ids=["the first epoch", "the second epoch", "the beginning"])
def test_a_build_that_was_there_before_the_first_checkpoint_closes_no_epoch_twice(seed: int, dies: float, back):
    log = world.season(3, seed)
    fleet = Fleet(world.HEART, seed, dies)
    fleet.instances += installs(fleet, AFTER, dies)
    fleet.write(log.records)
    fleet.run_until_idle()
    fleet.instances = fleet.instances[4:]
    since = len(log.records)
    rebases = anew(log, EDITED) if back is None else rebase(log, fleet, world.FIRST + back, EDITED)
    go_on(log, fleet, [3, 4], since)
    assert set(roots(fleet.topics.headers())) == set(expected(log.records, *rebases))
    assert fleet.parked() == []


def test_a_catalog_that_nobody_has_closed_an_epoch_of_begins_with_nothing_under_another_release():
    log = world.season(1)
    fleet = Fleet(world.HEART)
    fleet.instances = [*fleet.instances[:3], *installs(fleet, AFTER)]
    fleet.write(log.records)
    fleet.run_until_idle()
    assert fleet.topics.headers() == {}
    fleet.instances = fleet.instances[3:]
    since = len(log.records)
    rebases = anew(log, EDITED)
    go_on(log, fleet, [1], since)
    assert set(roots(fleet.topics.headers())) == set(expected(log.records, *rebases))
    assert fleet.parked() == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dies", [0.0, 0.05])
def test_a_life_from_the_beginning_runs_old_generations_under_its_own_release(seed: int, dies: float):
    log, fleet = begun(seed)
    fleet.instances = installs(fleet, AFTER, dies)
    since = len(log.records)
    rebases = anew(log, EDITED)
    go_on(log, fleet, [3, 4], since)
    assert roots(fleet.topics.headers()) == expected(log.records, *rebases)
    assert fleet.parked() == []


@pytest.mark.parametrize("seed", range(4))
def test_a_life_goes_on_from_the_very_marker_that_put_a_release_in_force_that_is_gone(seed: int):
    log = world.season(2, seed)
    log.define(2, release=world.OTHER_RELEASE.hex())
    log.end(world.FIRST + 2, following=2)
    fleet = Fleet(world.HEART, seed)
    fleet.write(log.records)
    fleet.run_until_idle()
    fleet.instances = installs(fleet, AFTER, 0.05)
    since = len(log.records)
    rebase(log, fleet, world.FIRST + 2, EDITED)
    go_on(log, fleet, [3, 4], since)
    message = fleet.topics.message(world.FIRST + 4)
    assert (message.generation, {lane.release for lane in message.lanes}) == (2, {EDITED})
    assert fleet.parked() == []


@pytest.mark.parametrize("seed", range(4))
def test_a_generation_that_takes_force_behind_the_rebase_brings_its_own_release(seed: int):
    log, fleet = begun(seed)
    fleet.instances = installs(fleet, AFTER, 0.05)
    since = len(log.records)
    rebase(log, fleet, world.FIRST + 2, EDITED)
    log.define(2, release=EDITED.hex())
    log.end(world.FIRST + 3, following=2)
    go_on(log, fleet, [4, 5], since)
    message = fleet.topics.message(world.FIRST + 5)
    assert (message.generation, {lane.release for lane in message.lanes}) == (2, {EDITED})
    fleet.instances = installs(fleet, world.HEART)
    fleet.run_until_idle()
    assert max(epoch for _, epoch in fleet.topics.headers()) == world.FIRST + 5, "the old release runs it no more"


@pytest.mark.parametrize("seed", range(4))
def test_the_release_of_a_new_life_may_be_installed_before_or_after_it_beside_the_old_one(seed: int):
    log, fleet = begun(seed)
    if seed % 2:
        fleet.instances += installs(fleet, AFTER)
    since = len(log.records)
    rebases = rebase(log, fleet, world.FIRST + 2, EDITED, LANES[:1])
    fleet.write(log.records[since:])
    fleet.run_until_idle()
    if not seed % 2:
        fleet.instances += installs(fleet, AFTER)
    since = len(log.records)
    rebases += rebase(log, fleet, world.FIRST + 2, EDITED, LANES[1:])
    go_on(log, fleet, [3, 4], since)
    assert roots(fleet.topics.headers()) == expected(log.records, *rebases)


def test_lives_count_up_and_one_that_nobody_could_begin_is_skipped():
    log, fleet = begun(1)
    since = len(log.records)
    gone = bytes([99]) * 32
    rebases = rebase(log, fleet, world.FIRST + 2, gone) + rebase(log, fleet, world.FIRST + 2, EDITED, life=3)
    rebases += rebase(log, fleet, world.FIRST + 2, gone, life=2)
    fleet.instances = installs(fleet, AFTER)
    go_on(log, fleet, [3], since)
    assert roots(fleet.topics.headers()) == expected(log.records, *rebases)
    assert {lane.life for lane in fleet.topics.message(world.FIRST + 3).lanes} == {3}


def test_a_state_that_the_installed_code_does_not_read_stops_nobody_who_only_passes_it_over():
    log, fleet = begun(1)
    fleet.topics.spoil()
    fleet.instances = installs(fleet, AFTER)
    since = len(log.records)
    rebases = anew(log, EDITED)
    go_on(log, fleet, [3], since)
    assert set(roots(fleet.topics.headers())) == set(expected(log.records, *rebases))


HANDED_ON = (certificate(world.CONTROL, NEW_KEY),)


def test_the_key_that_the_old_one_certified_begins_lives_and_the_old_one_no_more():
    log, fleet = begun(1)
    since = len(log.records)
    log.define(2, key=NEW_KEY, certificates=HANDED_ON)
    log.end(world.FIRST + 3, following=2)
    fleet.write(log.records[since:])
    fleet.run_until_idle()
    since, where = len(log.records), fleet.topics.roots(LANES[0], world.FIRST + 3)
    refused = [
        log.rebase(LANES[0], world.FIRST + 3, *where),
        log.rebase(LANES[0], world.FIRST + 3, *where, key=NEW_KEY),
        log.rebase(LANES[0], world.FIRST + 3, *where, certificates=HANDED_ON),
    ]
    begins = log.rebase(LANES[0], world.FIRST + 3, *where, key=NEW_KEY, certificates=HANDED_ON)
    go_on(log, fleet, [4], since)
    assert [error for error, _ in fleet.topics.letters.values()] == ["wrong_signature"] * 3
    assert roots(fleet.topics.headers()) == expected(log.records, *refused, begins)
    assert {(lane.partition, lane.life) for lane in fleet.topics.message(world.FIRST + 4).lanes} == {
        (lane, int(lane == LANES[0])) for lane in LANES
    }


@pytest.mark.parametrize("spoilt", [False, True])
def test_a_lane_that_knows_the_old_key_alone_is_led_to_the_new_one_by_its_certificate(spoilt: bool):
    log, fleet = begun(1)
    if spoilt:
        fleet.topics.spoil()
    fleet.instances = installs(fleet, AFTER)
    since = len(log.records)
    rebases = [
        log.rebase(lane, 0, NOTHING, 0, release=EDITED.hex(), key=NEW_KEY, certificates=HANDED_ON) for lane in LANES
    ]
    go_on(log, fleet, [3], since)
    assert set(roots(fleet.topics.headers())) == set(expected(log.records, *rebases))
    assert fleet.topics.letters == {}


def test_reading_from_further_back_than_a_lane_needs_changes_nothing():
    log = world.World()
    log.begin()
    for index in range(5):
        start = (world.FIRST + index) * world.EPOCH_MS
        for number, group in enumerate(log.groups):
            log.now_ms = start + 100 * number + 10
            # held for a long time, or so far ahead of its place that it is dropped there
            for ahead_ms in (5_000, 25_000, 39_000, 62_000, 79_000, 90_000):
                log.toss(group, True, log.now_ms + ahead_ms)
        log.end(world.FIRST + index)
    keeper = Keeper()
    world.play(log.records, Pipeline(world.HEART, observer=keeper))
    for manifest in (m for m in keeper.manifests if m.stage == 1):
        mine = [record for record in log.records if record.partition == manifest.partition]

        def said(since: int | None, manifest=manifest, mine=mine) -> list[bytes]:
            core = world.HEART.normalize()
            start = core.resume(manifest.partition, [keeper.restored(manifest)], 0, len(mine))
            assert start is not None
            outputs = [o for r in mine[start if since is None else since :] for o in core.feed(r)]
            return [output.value for output in outputs if isinstance(output, Produce)]

        assert said(0) == said(None)


@pytest.mark.parametrize("seed", range(10))
def test_what_the_old_release_said_and_nobody_bundled_is_said_again(seed: int):
    log, fleet = begun(seed)
    bundle = fleet.instances.pop()
    since = len(log.records)
    go_on(log, fleet, [3, 4], since)
    assert bundle.stage == 4
    fleet.instances = installs(fleet, AFTER, 0.03)
    since = len(log.records)
    rebases = rebase(log, fleet, world.FIRST + 2, EDITED)
    go_on(log, fleet, [5], since)
    assert roots(fleet.topics.headers()) == expected(log.records, *rebases)


@pytest.mark.parametrize("topic", [NORMALIZED.name, FEATURES.name, PREDICTIONS.name])
def test_a_topic_between_the_lanes_may_be_gone_when_another_release_goes_on(topic: str):
    log, fleet = begun(1)
    for place in [place for place in fleet.topics.logs if place[0] == topic]:
        del fleet.topics.logs[place]
    fleet.instances = installs(fleet, AFTER)
    since = len(log.records)
    rebases = rebase(log, fleet, world.FIRST + 2, EDITED)
    go_on(log, fleet, [3, 4], since)
    assert roots(fleet.topics.headers()) == expected(log.records, *rebases)
    assert fleet.parked() == []


def test_a_lane_that_is_passed_over_is_read_from_where_it_stands_whatever_its_neighbour_has_read():
    log, other = world.World(groups=["penny"]), world.World("others", release=NEIGHBOUR, groups=["lira"])
    other.records, other._next = log.records, log._next
    for each in (log, other):
        each.define(1)
        each.end(world.FIRST - 1, following=1)
    fleet = Fleet(Heart(world.DEPLOYMENT, {world.COINS_RELEASE: Coins(), NEIGHBOUR: Coins()}, bytes([5]) * 32))
    written = 0

    def epochs(*indexes: int) -> None:
        nonlocal written
        for index in indexes:
            for each in (log, other):
                each.end(world.FIRST + index)
        fleet.write(log.records[written:])
        written = len(log.records)
        fleet.run_until_idle()

    epochs(0, 1)
    (lane,) = lanes_of(log.payload(1))
    assert lanes_of(other.payload(1)) == (lane,)
    log.rebase(lane, world.FIRST + 1, *fleet.topics.roots(lane, world.FIRST + 1), release=EDITED.hex())
    # the neighbour goes on beyond the record that begins the life, which nobody here may follow
    epochs(2, 3)
    assert ("others", world.FIRST + 3) in fleet.topics.headers()
    assert ("coins", world.FIRST + 3) not in fleet.topics.headers()
    fleet.instances = installs(fleet, Heart(world.DEPLOYMENT, {EDITED: Coins(), NEIGHBOUR: Coins()}, bytes([6]) * 32))
    epochs(4)
    assert set(fleet.topics.headers()) == {(c, world.FIRST + n) for c in ("coins", "others") for n in range(5)}
