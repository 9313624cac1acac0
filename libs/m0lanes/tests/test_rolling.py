"""A release is installed beside the old one, in any order, and takes over at one barrier."""

import lanes_world as world
import pytest
from lanes_fleet import Fleet, Instance
from lanes_toy import OtherCoins
from m0common.stream.core import MARKERS_DUE
from m0lanes.control import DomainRef
from m0lanes.generations import lanes_of
from m0lanes.pipeline import Pipeline
from m0lanes.stages import Heart

NEW = Heart(world.DEPLOYMENT, {world.OTHER_RELEASE: OtherCoins()}, bytes([3]) * 32)
STAGES = (1, 2, 3, 4)


def upgraded(seed: int, before: int = 2, after: int = 2, back: int = 0) -> world.World:
    """Some epochs under the old release, some under the new one, perhaps some under the old one again."""
    log = world.season(before, seed)
    epoch = world.FIRST + before
    log.define(2, release=world.OTHER_RELEASE.hex(), domain=DomainRef("coins", "tests", 2))
    for index in range(after + back):
        start = epoch * world.EPOCH_MS
        log.now_ms = start
        for step, group in enumerate(log.groups):
            log.open(group, f"NEW_{step}_{index}", start + step)
            log.toss(group, bool((index + step) % 3), start + 100 * step + 5)
            log.toss(group, True, start + world.EPOCH_MS + 500)
        if index == after - 1 and back:
            log.define(3, release=world.COINS_RELEASE.hex())
        following = 2 if index == 0 else 3 if index == after - 1 and back else None
        log.end(epoch, following)
        epoch += 1
    return log


def test_one_process_that_has_both_switches_at_the_barrier():
    closed = world.play(upgraded(1).records, Pipeline(world.BOTH))
    releases = [{lane.release for lane in epoch.header.lanes} for epoch in closed]
    assert releases == [{world.COINS_RELEASE}] * 3 + [{world.OTHER_RELEASE}]
    assert [epoch.header.generation for epoch in closed] == [1, 1, 1, 2]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dies", [0.0, 0.05])
def test_old_and_new_processes_side_by_side_say_what_one_that_has_both_says(seed: int, dies: float):
    records = upgraded(seed, back=2 if seed % 2 else 0).records
    fleet = Fleet(world.HEART, seed, dies)
    fleet.instances += [Instance(NEW, stage, fleet.topics, fleet.rng, dies) for stage in STAGES]
    fleet.write(records)
    fleet.run_until_idle()
    assert fleet.topics.headers() == world.headers(world.play(records, Pipeline(world.BOTH)))
    assert fleet.parked() == []


@pytest.mark.parametrize("seed", range(8))
def test_the_new_release_may_come_before_during_or_after_the_switch_stage_by_stage(seed: int):
    records = upgraded(seed).records
    fleet = Fleet(world.HEART, seed, 0.03)
    missing = list(STAGES)
    fleet.rng.shuffle(missing)
    for start in range(0, len(records), 9):
        fleet.write(records[start : start + 9])
        fleet.run_until_idle()
        if missing and fleet.rng.random() < 0.3:
            fleet.instances.append(Instance(NEW, missing.pop(), fleet.topics, fleet.rng, 0.03))
    fleet.instances += [Instance(NEW, stage, fleet.topics, fleet.rng, 0.03) for stage in missing]
    fleet.run_until_idle()
    assert fleet.topics.headers() == world.headers(world.play(records, Pipeline(world.BOTH)))
    assert fleet.parked() == []


@pytest.mark.parametrize("epochs", [2, 4])
def test_who_passes_a_lane_over_knows_which_epoch_others_must_have_closed(epochs: int):
    log = world.season(epochs)
    last = log.first + epochs - 1
    for lane in lanes_of(log.payload(1)):
        for ahead in range(1, 5):  # nobody's marker makes anything due
            log.raw(lane, log.marker(last + ahead, key=world.STRANGER))
    fleet = Fleet(world.HEART)
    passing = [Instance(NEW, stage, fleet.topics, fleet.rng) for stage in STAGES]
    fleet.instances += passing
    fleet.write(log.records)
    fleet.run_until_idle()
    reports = [report for instance in passing for report in instance.core.reports()]
    assert len({report.lane for report in reports}) > 1
    assert {report.lacks for report in reports} == {world.COINS_RELEASE}
    assert {report.due for report in reports} == ({last - MARKERS_DUE + 1} if epochs >= MARKERS_DUE else {None})


def test_what_nobody_runs_waits_and_goes_on_when_somebody_does():
    records = upgraded(3).records
    fleet = Fleet(world.HEART, 3)
    fleet.write(records)
    fleet.run_until_idle()
    assert max(epoch for _, epoch in fleet.topics.headers()) == world.FIRST + 2
    fleet.instances += [Instance(NEW, stage, fleet.topics, fleet.rng) for stage in STAGES]
    fleet.run_until_idle()
    assert fleet.topics.headers() == world.headers(world.play(records, Pipeline(world.BOTH)))


def returned(seed: int) -> tuple[list[world.Record], int]:
    """A catalog that is retired and comes back under the other release; how many records there are until its end."""
    log = world.season(2, seed)
    log.define(2, retired=True)
    log.end(world.FIRST + 2, following=2)
    ended = len(log.records)
    log.define(3, release=world.OTHER_RELEASE.hex(), domain=DomainRef("coins", "tests", 2))
    log.end(world.FIRST + 7, following=3)
    for epoch in (world.FIRST + 8, world.FIRST + 9):
        log.now_ms = epoch * world.EPOCH_MS
        for step, group in enumerate(log.groups):
            log.open(group, f"BACK_{step}_{epoch}", log.now_ms + step)
            log.toss(group, True, log.now_ms + 100 + step)
        log.end(epoch)
    return log.records, ended


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dies", [0.0, 0.05])
def test_a_retired_catalog_returns_under_a_release_that_only_newer_processes_have(seed: int, dies: float):
    records, ended = returned(seed)
    fleet = Fleet(world.HEART, seed, dies)
    # newer processes that were there before the end wait for the lanes as those do that start behind it
    early = [stage for stage in STAGES if fleet.rng.random() < 0.5]
    fleet.instances += [Instance(NEW, stage, fleet.topics, fleet.rng, dies) for stage in early]
    fleet.write(records[:ended])
    fleet.run_until_idle()
    newest = {(m.stage, m.partition): m for m in sorted(fleet.topics.manifests, key=lambda m: (m.life, m.position))}
    assert {manifest.status for manifest in newest.values()} == {"retired"}
    fleet.instances += [Instance(NEW, stage, fleet.topics, fleet.rng, dies) for stage in STAGES if stage not in early]
    if seed % 2:
        fleet.instances = [instance for instance in fleet.instances if instance.heart is NEW]
    fleet.write(records[ended:])
    fleet.run_until_idle()
    assert fleet.topics.headers() == world.headers(world.play(records, Pipeline(world.BOTH)))
    assert len(fleet.topics.headers()) == 5
    assert fleet.parked() == []


@pytest.mark.parametrize("heart", [world.HEART, NEW], ids=["its release is here", "its release is gone"])
def test_a_retired_lane_keeps_its_state_and_holds_no_reader_at_its_old_place(heart: Heart):
    records, ended = returned(1)
    fleet = Fleet(world.HEART, 1)
    fleet.write(records[:ended])
    fleet.run_until_idle()
    for core in (heart.normalize(), heart.feature(), heart.model(), heart.bundle(3)):
        for partition in range(world.PARTITIONS):
            newest = fleet.topics.newest(core, partition)
            # everything that it ever read has been removed
            assert core.resume(partition, newest, 10_000, 20_000) is None
        reports = core.reports()
        assert [report.parked for report in reports] == [None] * len(reports) != []
        assert all(report.retired and report.entities for report in reports)
