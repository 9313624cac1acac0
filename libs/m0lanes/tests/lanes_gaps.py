"""A log that a fleet reads and in which raw loses what some lanes have not read, and the same log for a pipeline."""

import random

import lanes_world as world
from lanes_fleet import Fleet
from lanes_lives import NOTHING
from lanes_story import Story
from m0common.canonical import ZERO, BundleHeader
from m0common.topics import RAW
from m0lanes.generations import lanes_of

GONE = "what it would read is gone"


class Losing(world.Follower):
    """A pipeline over a log in which records are gone: the lanes that would read them are parked."""

    def play(self, records):
        closed, following = [], [0] * world.PARTITIONS
        for record in records:
            if record.offset > following[record.partition]:
                self.pipeline.cores[0].park(record.partition, GONE)
            following[record.partition] = record.offset + 1
            closed += super().play([record])
        return closed


class Gaps(Story):
    """A log, the fleet that reads it, and what of it raw has lost."""

    def __init__(self, seed: int) -> None:
        super().__init__(random.Random(seed), world.World(), Fleet(world.HEART, seed))
        self.lost: set[tuple[int, int]] = set()

    def set(self, **changes) -> None:
        """Another generation takes force."""
        number = self.log.in_force + 1
        self.log.define(number, **{"groups": self.groups, **changes})
        self.end(number)

    def loses(self, lanes, happens, *, carried: bool = False) -> dict[int, int]:
        """These lanes stand still while something `happens`, which raw then loses; returns where it begins there."""
        self.flush()
        since, fleet = len(self.log.records), self.fleet
        happens()
        rest, self.written = self.log.records[since:], len(self.log.records)
        fleet.write([record for record in rest if record.partition not in lanes])
        fleet.run_until_idle()
        fleet.write([record for record in rest if record.partition in lanes])
        self.lost |= {(record.partition, record.offset) for record in rest if record.partition in lanes}
        for lane in lanes:
            fleet.instances[0].next_offsets[lane] = len(fleet.topics.log(RAW.name, lane))
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
            found = None if anew else max(self.marked(lane, closed), default=None)
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
        """Nothing is parked, the newest epoch is closed, and a pipeline says the very same headers."""
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
