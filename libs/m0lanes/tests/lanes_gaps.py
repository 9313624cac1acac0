"""A log that a fleet reads and in which raw loses what some lanes have not read, and the same log for a chain."""

import random

import lanes_world as world
from lanes_fleet import Fleet
from lanes_lives import NOTHING
from m0common.canonical import ZERO, BundleHeader
from m0common.topics import RAW
from m0lanes.generations import lanes_of

FIRST, EPOCH = world.FIRST, world.EPOCH_MS

GONE = "what it would read is gone"


class Losing(world.Follower):
    """A chain over a log in which records are gone: the lanes that would read them are parked."""

    def play(self, records):
        closed, following = [], [0] * world.PARTITIONS
        for record in records:
            if record.offset > following[record.partition]:
                self.chain.cores[0].park(record.partition, GONE)
            following[record.partition] = record.offset + 1
            closed += super().play([record])
        return closed


class Gaps:
    """A log, written step by step, the fleet that reads it, and what of it raw has lost."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.log, self.fleet = world.World(), Fleet(world.HEART, seed)
        self.epoch, self.groups, self.written = FIRST, self.log.groups, 0
        self.lives: dict[int, int] = {}
        self.lost: set[tuple[int, int]] = set()
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
        for number, group in enumerate(log.sets[log.in_force][0].groups):
            log.open(group, f"COIN_{number}_{self.epoch - FIRST}", log.now_ms + number)
            for _ in range(rng.randrange(3)):
                log.toss(group, rng.random() < 0.5, log.now_ms + rng.randrange(-5_000, 45_000))
        log.end(self.epoch, following)
        self.epoch += 1

    def set(self, **changes) -> None:
        """Another generation takes force."""
        number = self.log.in_force + 1
        self.log.define(number, **{"groups": self.groups, **changes})
        self.end(number)

    def _from(self, lane: int, closed: int) -> tuple[int, int] | None:
        """A marker of a lane whose epoch is closed, and the life that read it."""
        stages: dict[tuple[int, int], set[int]] = {}
        for manifest in self.fleet.topics.manifests:
            if manifest.partition == lane and manifest.stage < 4 and manifest.epoch_id is not None:
                stages.setdefault((manifest.epoch_id, manifest.life), set()).add(manifest.stage)
        return max((at for at, found in stages.items() if len(found) == 3 and at[0] <= closed), default=None)

    def loses(self, lanes, happens, *, carried: bool = False) -> dict[int, int]:
        """These lanes stand still while something `happens`, which raw then loses; returns where it begins there."""
        self.flush()
        since, fleet = len(self.log.records), self.fleet
        happens()
        rest, self.written = self.log.records[since:], len(self.log.records)
        fleet.write([record for record in rest if record.partition not in lanes])
        fleet.settle()
        fleet.write([record for record in rest if record.partition in lanes])
        self.lost |= {(record.partition, record.offset) for record in rest if record.partition in lanes}
        for lane in lanes:
            fleet.instances[0].positions[lane] = len(fleet.topics.log(RAW.name, lane))
            for cut in fleet.instances[0].core.park(lane, GONE):
                fleet.instances[0]._save(cut)
        begins = {lane: len(fleet.topics.log(RAW.name, lane)) for lane in lanes}
        if carried:
            for lane in sorted(set(lanes) & set(self.lanes)):
                self.log.raw(lane, self.log.values[self.log.in_force])
        return begins

    @property
    def lanes(self) -> tuple[int, ...]:
        return lanes_of(self.log.sets[self.log.in_force][0])

    def repair(self, begins: dict[int, int], *, anew: bool) -> None:
        """What 'm0 lane rebase' writes: the set in force again, and a new life behind the gap."""
        closed = max((epoch for _, epoch in self.fleet.topics.headers()), default=-1)
        for lane, begin in sorted(begins.items()):
            if lane in self.lanes:
                self.log.raw(lane, self.log.values[self.log.in_force])
            found = None if anew else self._from(lane, closed)
            epoch_id, life = (0, 0) if found is None else found
            roots = NOTHING if found is None else self.fleet.topics.roots(lane, epoch_id, life)[0]
            self.lives[lane] = self.lives.get(lane, 0) + 1
            self.log.rebase(lane, epoch_id, roots, begin, self.lives[lane], gap=True)

    def something(self) -> None:
        """Epochs, sets, an end and a return."""
        for _ in range(self.rng.randrange(1, 7)):
            match self.rng.choice(("epoch", "epoch", "set", "move", "retire")):
                case "set":
                    self.set()
                case "move":
                    self.groups = tuple(
                        sorted(self.rng.sample(world.GROUPS, self.rng.randrange(1, len(world.GROUPS) + 1)))
                    )
                    self.set()
                case "retire":
                    self.set(retired=True, groups=())
                    self.epoch += self.rng.randrange(2)
                    self.set()
                case _:
                    self.end()

    def check(self) -> None:
        """Nothing is parked, the newest epoch is closed, and a chain says the very same headers."""
        self.flush()
        assert self.fleet.parked() == []
        found = self.fleet.topics.headers()
        assert max(epoch for _, epoch in found) == self.epoch - 1
        kept = [r for r in self.log.records if (r.partition, r.offset) not in self.lost]
        assert found == world.headers(Losing().play(kept))
        before = ZERO
        for _, header in sorted((epoch, BundleHeader.decode(raw)) for (_, epoch), raw in found.items()):
            assert header.prev_bundle_hash == before
            before = header.bundle_hash if header.leaf_count else before
