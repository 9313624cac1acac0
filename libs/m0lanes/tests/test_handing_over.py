"""A catalog goes from build to build and back, by sets, ends, returns and new lives: one at a time bundles it."""

import random
from dataclasses import replace

import lanes_world as world
import pytest
from lanes_fleet import Fleet
from lanes_lives import AFTER, EDITED, LANES, installs, rebase, roots
from lanes_steps import where
from lanes_toy import Coins, LastToss
from m0common.canonical import ZERO, BundleHeader
from m0lanes.chain import Chain
from m0lanes.generations import lanes_of
from m0lanes.port import Put, Step
from m0lanes.stages import Heart

RELEASES = (world.COINS_RELEASE, EDITED)
EITHER = Heart(world.DEPLOYMENT, dict.fromkeys(RELEASES, Coins()), bytes([9]) * 32)
STEPS = 200 if world.SOAK else 5
FIRST, EPOCH = world.FIRST, world.EPOCH_MS
BY_LANE = {where(group): group for group in world.GROUPS}


class Course:
    """A log that two builds run, written step by step, and the fleet that reads it as far as it happens to."""

    def __init__(self, seed: int, dies: float = 0.0, groups=world.GROUPS) -> None:
        self.rng = random.Random(seed)
        self.log = world.World(groups=groups)
        self.fleet = Fleet(world.HEART, seed, dies)
        self.fleet.instances += installs(self.fleet, AFTER, dies)
        self.epoch, self.number, self.groups, self.release = FIRST, 1, self.log.groups, world.COINS_RELEASE
        self.lives: dict[int, int] = {}
        self.written = 0
        self.is_exact = True
        """Whether it is said which life closes each epoch: every one before a rebase was closed when that was written.
        """
        self.log.begin()

    def flush(self, *, settle: bool = True) -> None:
        self.fleet.write(self.log.records[self.written :])
        self.written = len(self.log.records)
        if settle:
            self.fleet.settle()

    def end(self, following: int | None = None) -> None:
        """An epoch, with whatever happens in it."""
        log, rng = self.log, self.rng
        log.now_ms = max(log.now_ms, self.epoch * EPOCH)
        if log.in_force and not log.sets[log.in_force][0].retired:
            for number, group in enumerate(log.sets[log.in_force][0].groups):
                log.open(group, f"COIN_{number}_{self.epoch - FIRST}", log.now_ms + number)
                for _ in range(rng.randrange(3)):
                    log.toss(group, rng.random() < 0.5, log.now_ms + rng.randrange(-5_000, 45_000))
        log.end(self.epoch, following)
        self.epoch += 1

    def set(self, **changes) -> None:
        """Another generation takes force."""
        self.number += 1
        self.log.define(self.number, **{"groups": self.groups, "release": self.release.hex(), **changes})
        self.end(self.number)

    def retire(self) -> None:
        self.set(retired=True, groups=())

    def rebase(self, release: bytes) -> None:
        """Give every lane a new life from a marker whose epoch is closed; none, where a lane has no such marker."""
        closed = max((epoch for _, epoch in self.fleet.topics.headers()), default=-1)
        lanes = lanes_of(self.log.sets[self.log.in_force][0])
        froms = [self._from(lane, closed) for lane in lanes]
        if None in froms:
            return
        for lane, (epoch_id, life) in zip(lanes, froms, strict=True):
            self.lives[lane] = self.lives.get(lane, 0) + 1
            at = self.fleet.topics.roots(lane, epoch_id, life)
            self.log.rebase(lane, epoch_id, *at, self.lives[lane], release=release.hex())

    def _from(self, lane: int, closed: int) -> tuple[int, int] | None:
        stages: dict[tuple[int, int], set[int]] = {}
        for manifest in self.fleet.topics.manifests:
            if manifest.partition == lane and manifest.stage < 4 and manifest.epoch_id is not None:
                stages.setdefault((manifest.epoch_id, manifest.life), set()).add(manifest.stage)
        whole = sorted(at for at, found in stages.items() if len(found) == 3 and at[0] <= closed)
        return self.rng.choice(whole[-3:]) if whole else None

    def step(self) -> None:
        rng = self.rng
        if self.log.sets[self.log.in_force][0].retired:
            self.epoch += rng.randrange(3)
            self.release, self.groups = rng.choice(RELEASES), self._some_groups()
            self.set()
        else:
            match rng.choice(("epoch", "epoch", "release", "move", "retire", "rebase", "rebase")):
                case "epoch":
                    self.end()
                case "release":
                    self.release = rng.choice(RELEASES)
                    self.set()
                case "move":
                    self.release, self.groups = rng.choice(RELEASES), self._some_groups()
                    self.set()
                case "retire":
                    self.retire()
                case "rebase":
                    # a lane that has ended says the rest of its epochs under the release that it ended with
                    settled = rng.random() < 0.7 or self._is_behind()
                    self.flush(settle=settled)
                    self.is_exact &= settled
                    self.rebase(rng.choice(RELEASES))
        self.flush(settle=rng.random() < 0.4)
        if rng.random() < 0.1:
            rng.choice(self.fleet.instances).start()

    def _some_groups(self) -> tuple[str, ...]:
        return tuple(sorted(self.rng.sample(world.GROUPS, self.rng.randrange(1, len(world.GROUPS) + 1))))

    def _is_behind(self) -> bool:
        """Whether an epoch of an earlier generation may still be open."""
        mine = [manifest for manifest in self.fleet.topics.manifests if manifest.stage == 4]
        return max((manifest.generation for manifest in mine), default=0) < self.log.in_force

    def check(self) -> None:
        """No epoch twice, none missed that one process with both releases closes, one chain of headers."""
        self.flush()
        reference = world.headers(world.Follower(EITHER).play(self.log.records))
        found = self.fleet.topics.headers()
        assert roots(found) == roots(reference)
        if self.is_exact:
            assert found == reference
        assert self.fleet.parked() == []
        before = ZERO
        for _, header in sorted((epoch, BundleHeader.decode(raw)) for (_, epoch), raw in found.items()):
            assert header.prev_bundle_hash == before
            before = header.bundle_hash if header.leaf_count else before


@pytest.mark.parametrize("seed", range(STEPS))
def test_whatever_hands_a_catalog_over_two_builds_say_what_one_that_has_both_releases_says(seed: int):
    course = Course(seed, dies=0.02 if seed % 2 else 0.0)
    for _ in range(10):
        course.step()
    course.end()
    course.check()


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
    course.fleet.settle()
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
    assert course.fleet.topics.headers() == world.headers(world.play(course.log.records, Chain(both)))


def test_a_lane_that_is_given_another_release_than_its_neighbours_is_told():
    course = Course(1)
    course.end()
    course.flush()
    rebase(course.log, course.fleet, FIRST, EDITED, LANES[:1])
    for _ in range(4):
        course.end()
    course.flush()
    said = f"under release {world.COINS_RELEASE.hex()} and others of the catalog under {EDITED.hex()}"
    assert [said in reason for reason in course.fleet.parked()] == [True]
    assert max(epoch for _, epoch in course.fleet.topics.headers()) == FIRST
    rebase(course.log, course.fleet, FIRST, EDITED, LANES[1:])
    course.is_exact = False
    course.check()
