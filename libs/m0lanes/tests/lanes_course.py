"""A log that several builds run, written step by step, and a fleet of them that reads it as far as it happens to."""

import random
from collections.abc import Sequence

import lanes_world as world
from lanes_fleet import Fleet, Instance
from lanes_lives import AFTER, EDITED, installs, roots
from lanes_steps import where
from lanes_story import Story
from lanes_toy import Coins
from m0common.canonical import ZERO, BundleHeader
from m0lanes.generations import lanes_of
from m0lanes.stages import Heart

RELEASES = (world.COINS_RELEASE, EDITED)
EITHER = Heart(world.DEPLOYMENT, dict.fromkeys(RELEASES, Coins()), bytes([9]) * 32)
OLD_ONE, NEW_ONE, BOTH_INSTALLED = world.HEART, AFTER, EITHER
BY_LANE = {where(group): group for group in world.GROUPS}


class Course(Story):
    """See above. Each of `builds` is one process of every stage."""

    def __init__(
        self, seed: int, dies: float = 0.0, groups=world.GROUPS, builds: Sequence[Heart] = (OLD_ONE, NEW_ONE)
    ) -> None:
        super().__init__(random.Random(seed), world.World(groups=groups), Fleet(world.HEART, seed, dies))
        self.builds = [installs(self.fleet, heart, dies) for heart in builds]
        self.fleet.instances = [instance for build in self.builds for instance in build]
        self.number, self.release = 1, world.COINS_RELEASE
        self.spoken = self.release
        """The release that the lanes speak under once they have read everything."""
        self.is_exact = True
        """Whether it is said which life closes each epoch: every one before a rebase was closed when that was written.
        """

    def set(self, **changes) -> None:
        """Another generation takes force."""
        self.number += 1
        self.spoken = self.release
        self.log.define(self.number, **{"groups": self.groups, "release": self.release.hex(), **changes})
        self.end(self.number)

    def retire(self) -> None:
        self.set(retired=True, groups=())

    def rebase(self, release: bytes, *, amid: bool = False) -> None:
        """Give every lane a new life from a marker whose epoch is closed; none, where a lane has no such marker. `amid`
        an epoch's markers: one lane begins it before the marker and another one behind that.
        """
        closed = max((epoch for _, epoch in self.fleet.topics.headers()), default=-1)
        lanes = lanes_of(self.log.sets[self.log.in_force][0])
        froms = [self._from(lane, closed) for lane in lanes]
        if None in froms:
            return
        self.spoken = release
        marker = self.log.marker(self.epoch) if amid else None
        self.epoch += amid
        for lane, (epoch_id, life) in self.rng.sample(list(zip(lanes, froms, strict=True)), len(lanes)):
            is_behind = self.rng.random() < 0.5
            if marker is not None and is_behind:
                self.log.raw(lane, marker)
            self.lives[lane] = self.lives.get(lane, 0) + 1
            at = self.fleet.topics.roots(lane, epoch_id, life)
            self.log.rebase(lane, epoch_id, *at, self.lives[lane], release=release.hex())
            if marker is not None and not is_behind:
                self.log.raw(lane, marker)
            if marker is not None:
                self.flush(until_idle=self.rng.random() < 0.5)

    def _from(self, lane: int, closed: int) -> tuple[int, int] | None:
        whole = self.marked(lane, closed)
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
                    is_behind = self._is_behind()
                    if is_behind:
                        self.all_run()
                    until_idle = rng.random() < 0.7 or is_behind
                    self.flush(until_idle=until_idle)
                    amid = rng.random() < 0.3
                    self.is_exact &= until_idle and self.running == self.builds and not amid
                    self.rebase(rng.choice(RELEASES), amid=amid)
        self.flush(until_idle=rng.random() < 0.4)
        if rng.random() < 0.1:
            rng.choice(self.fleet.instances).start()

    @property
    def running(self) -> list[list[Instance]]:
        return [build for build in self.builds if build[0] in self.fleet.instances]

    def stop(self, build: list[Instance], *, drained: bool) -> None:
        """End a build's processes, as they stand or with a last checkpoint of all that they have."""
        self.fleet.instances = [instance for instance in self.fleet.instances if instance not in build]
        for instance in build if drained else ():
            instance.drain()

    def run(self, build: list[Instance]) -> None:
        """Start a build's processes again, from what is written."""
        self.fleet.instances += build
        for instance in build:
            instance.start()

    def all_run(self) -> None:
        for build in self.builds:
            if build not in self.running:
                self.run(build)

    def shuffle(self) -> None:
        """A build is ended or started, or is saved as it stands."""
        build = self.rng.choice(self.builds)
        if build not in self.running:
            self.run(build)
        elif self.rng.random() < 0.5 and len(self.running) > 1:
            self.stop(build, drained=self.rng.random() < 0.5)
        else:
            for instance in build:
                instance.drain()

    def leave_one(self) -> None:
        """Everything is read; then one build alone runs, which has what the lanes speak under."""
        self.all_run()
        if self.log.sets[self.log.in_force][0].retired:
            self.set()
        self.flush()
        stays = self.rng.choice([build for build in self.builds if self.spoken in build[0].heart.domains])
        for build in self.builds:
            if build is not stays:
                self.stop(build, drained=self.rng.random() < 0.5)
        if self.rng.random() < 0.5:
            self.stop(stays, drained=self.rng.random() < 0.5)
            self.run(stays)

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
