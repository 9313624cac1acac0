"""A catalog goes from build to build and back, by sets, ends, returns and new lives: one at a time bundles it."""

from dataclasses import replace

import lanes_world as world
import pytest
from lanes_course import BOTH_INSTALLED, BY_LANE, EITHER, NEW_ONE, OLD_ONE, RELEASES, Course
from lanes_fleet import Fleet
from lanes_lives import AFTER, EDITED, LANES, installs, rebase
from lanes_story import FIRST
from lanes_toy import Coins, LastToss
from m0lanes.pipeline import Pipeline
from m0lanes.port import Put, Step

STEPS = 200 if world.SOAK else 5
RELEASED = (OLD_ONE, NEW_ONE)


@pytest.mark.parametrize("seed", range(STEPS))
def test_whatever_hands_a_catalog_over_two_builds_say_what_one_that_has_both_releases_says(seed: int):
    course = Course(seed, dies=0.02 if seed % 2 else 0.0)
    for _ in range(10):
        course.step()
    course.end()
    course.check()


@pytest.mark.parametrize("seed", range(STEPS))
def test_builds_that_have_both_releases_or_one_come_and_go_and_say_what_one_that_has_both_says(seed: int):
    builds = (BOTH_INSTALLED, *(RELEASED[:1] if seed % 3 == 0 else RELEASED[1:] if seed % 3 == 1 else RELEASED))
    course = Course(seed, dies=0.02 if seed % 2 else 0.0, builds=builds)
    for _ in range(10):
        course.step()
        if course.rng.random() < 0.6:
            course.shuffle()
    course.leave_one()
    course.end()
    course.end()
    course.check()


def test_a_rebase_to_another_release_while_an_epoch_is_open_gives_that_epoch_one_header_whatever_builds_run():
    course = Course(1, builds=(OLD_ONE, NEW_ONE, BOTH_INSTALLED))
    course.end()
    course.end()
    course.flush()
    first, *others = LANES
    marker = course.log.marker(course.epoch)
    rebase(course.log, course.fleet, FIRST, EDITED, [first])
    course.log.raw(first, marker)
    course.flush()
    for lane in others:
        course.log.raw(lane, marker)
    course.flush()
    assert max(epoch for _, epoch in course.fleet.topics.headers()) == FIRST + 1
    rebase(course.log, course.fleet, FIRST, EDITED, others)
    course.epoch += 1
    course.end()
    course.is_exact = False
    course.check()
    assert {(lane.life, lane.release) for lane in course.fleet.topics.message(FIRST + 2).lanes} == {(1, EDITED)}


@pytest.mark.parametrize("drained", [True, False], ids=["drained", "killed"])
@pytest.mark.parametrize("stays", [False, True], ids=["the old build is gone", "the old build stays"])
def test_a_build_that_has_both_releases_and_ends_right_behind_a_switch_leaves_the_catalog_to_the_new_one(
    drained: bool, stays: bool
):
    course = Course(1, builds=(BOTH_INSTALLED, OLD_ONE, NEW_ONE))
    both, old, new = course.builds
    course.stop(new, drained=False)
    if not stays:
        course.stop(old, drained=False)
    course.end()
    course.flush()
    course.release = EDITED
    course.set()
    course.flush()
    course.stop(both, drained=drained)
    course.run(new)
    for _ in range(4):
        course.end()
    course.check()
    here, lacking = new[3].core.reports(), old[3].core.reports()
    assert [(report.release, report.lacks) for report in here] == [(EDITED, None)]
    assert [(report.release, report.lacks) for report in lacking if stays] == [(EDITED, EDITED)] * stays


@pytest.mark.parametrize("back", [3, 2, 1])
def test_a_rebase_to_another_build_and_back_goes_on_behind_what_the_other_one_closed(back: int):
    course = Course(back)
    course.end()
    course.end()
    course.flush()
    rebase(course.log, course.fleet, FIRST + 1, EDITED)
    course.end()
    course.end()
    course.flush()
    rebase(course.log, course.fleet, FIRST + back, world.COINS_RELEASE, life=2, of=int(back > 1))
    course.end()
    course.end()
    course.check()


@pytest.mark.parametrize("how", ["set", "retire and return"])
def test_a_rebase_to_another_build_and_a_set_back_need_no_restart(how: str):
    course = Course(1)
    course.end()
    course.flush()
    rebase(course.log, course.fleet, FIRST, EDITED)
    course.end()
    course.flush()
    if how != "set":
        course.retire()
        course.flush()
    course.set()
    course.end()
    course.check()


@pytest.mark.parametrize("seed", range(10))
def test_lanes_of_which_none_goes_on_give_way_to_others_under_another_release(seed: int):
    first, second, *_ = sorted(BY_LANE)
    course = Course(seed, groups=(BY_LANE[first],))
    course.end()
    course.flush()
    course.groups, course.release = (BY_LANE[second],), EDITED
    course.set()
    course.end()
    course.check()


@pytest.mark.parametrize("builds", [RELEASED, (OLD_ONE, BOTH_INSTALLED), (NEW_ONE, BOTH_INSTALLED, OLD_ONE)])
def test_a_catalog_of_which_a_later_lane_is_heard_first_begins_under_the_release_of_its_first_generation(builds):
    first, second, *_ = sorted(BY_LANE)
    course = Course(1, groups=(BY_LANE[first],), builds=builds)
    course.end()
    course.groups, course.release = (BY_LANE[first], BY_LANE[second]), EDITED
    course.set()
    course.end()
    course.fleet.write([record for record in course.log.records if record.partition != first])
    course.fleet.run_until_idle()
    course.fleet.write([record for record in course.log.records if record.partition == first])
    course.written = len(course.log.records)
    course.check()


@pytest.mark.parametrize("release", RELEASES, ids=["same release", "another release"])
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_a_catalog_returns_while_a_lane_of_it_has_not_ended_yet(release: bytes, again: bool):
    course = Course(1)
    course.end()
    course.flush()
    since = len(course.log.records)
    course.retire()
    course.release = release
    course.set()
    course.end()
    if again:
        course.retire()
        course.release = world.COINS_RELEASE
        course.set()
        course.end()
    rest = course.log.records[since:]
    course.fleet.write([record for record in rest if record.partition != LANES[-1]])
    course.fleet.run_until_idle()
    course.fleet.write([record for record in rest if record.partition == LANES[-1]])
    course.written = len(course.log.records)
    course.check()


@pytest.mark.parametrize("epoch", [0, 1, 2], ids=["before its last epoch", "at its last epoch", "at its end"])
@pytest.mark.parametrize("stays", [False, True], ids=["the old build is gone", "both builds"])
def test_an_ended_lane_that_was_given_a_new_life_returns_under_another_release(epoch: int, stays: bool):
    course = Course(2)
    course.end()
    course.end()
    course.retire()
    course.flush()
    rebase(course.log, course.fleet, FIRST + epoch, world.COINS_RELEASE)
    course.flush()
    newest = {
        (m.stage, m.partition): m for m in sorted(course.fleet.topics.manifests, key=lambda m: (m.life, m.position))
    }
    assert {manifest.status for manifest in newest.values()} == {"retired"}
    if not stays:
        course.fleet.instances = course.fleet.instances[4:]
    course.release = EDITED
    course.set()
    course.end()
    course.check()


class Noting(Coins):
    """Keeps of every market what was last tossed about it, until it closes."""

    def observe(self, view, body):
        made = super().observe(view, body)
        about = [Put((body.market_id,), LastToss(body.event_ms, body.heads))] if body.market_id else []
        return Step(changes=[*made.changes, *about])


def test_a_return_forgets_the_same_of_closed_markets_whichever_releases_a_process_has():
    course = Course(1)
    both, (old, new) = replace(EITHER, domains=dict.fromkeys(RELEASES, Noting())), RELEASES
    course.fleet = Fleet(replace(world.HEART, domains={old: Noting()}), 1)
    course.fleet.instances += installs(course.fleet, replace(AFTER, domains={new: Noting()}))
    for number, group in enumerate(course.groups):
        course.log.open(group, f"KEPT_{number}", course.log.now_ms)
        course.log.toss(group, True, course.log.now_ms + 1, f"KEPT_{number}")
    course.end()
    course.retire()
    course.flush()
    course.release = new
    course.set()
    course.end()
    course.flush()
    assert course.fleet.topics.headers() == world.headers(world.play(course.log.records, Pipeline(both)))


@pytest.mark.parametrize("builds", [RELEASED, (BOTH_INSTALLED,)], ids=["one each", "one that has both"])
def test_a_lane_that_is_given_another_release_than_its_neighbours_is_told(builds):
    course = Course(1, builds=builds)
    course.end()
    course.flush()
    rebase(course.log, course.fleet, FIRST, EDITED, LANES[:1])
    for _ in range(4):
        course.end()
    course.flush()
    said = f"under release {world.COINS_RELEASE.hex()} and others of the catalog under {EDITED.hex()}"
    assert [said in reason for reason in course.fleet.parked()] == [True]
    assert max(epoch for _, epoch in course.fleet.topics.headers()) == FIRST
    reports = [report for *_, bundle in course.builds for report in bundle.core.reports()]
    assert {report.release for report in reports} == {EDITED}
    rebase(course.log, course.fleet, FIRST, EDITED, LANES[1:])
    course.is_exact = False
    course.check()
