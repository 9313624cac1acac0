"""A catalog goes from build to build and back, by sets, ends, returns and new lives: one at a time bundles it."""

import random

import lanes_world as world
import pytest
from lanes_fleet import Fleet
from lanes_lives import AFTER, EDITED, installs, roots
from lanes_steps import where
from lanes_toy import Coins
from m0common.canonical import ZERO, BundleHeader
from m0lanes.generations import lanes_of
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
                    settled = rng.random() < 0.7
                    self.flush(settle=settled)
                    self.is_exact &= settled
                    self.rebase(rng.choice(RELEASES))
        self.flush(settle=rng.random() < 0.4)
        if rng.random() < 0.1:
            rng.choice(self.fleet.instances).start()

    def _some_groups(self) -> tuple[str, ...]:
        return tuple(sorted(self.rng.sample(world.GROUPS, self.rng.randrange(1, len(world.GROUPS) + 1))))

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
