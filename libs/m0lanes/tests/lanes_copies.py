"""A log into which somebody without a key carries copies of what it says, and the same log without them."""

import random

import lanes_world as world
from lanes_fleet import Fleet
from lanes_story import Story
from m0common.stream.records import Record
from m0lanes.door import decode_event

LANE_KINDS = ("catalog_set", "epoch_end")


class Copies(Story):
    """Sets with mistakes that are corrected, moves, ends and returns; copies of any record go into any lane."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        groups = tuple(sorted(rng.sample(world.GROUPS, 2)))
        super().__init__(rng, world.World(groups=groups), Fleet(world.HEART, seed, dies=0.01))
        self.carried: set[tuple[int, int]] = set()

    def carry(self) -> None:
        """Copies of what a key stands behind; anybody may say the rest anyway."""
        said = [record for record in self.log.records if decode_event(record.value).signature is not None]
        lane_kinds = [record for record in said if decode_event(record.value).kind in LANE_KINDS]
        for _ in range(self.rng.randrange(4)):
            old = self.rng.choice(self.rng.choice((said, lane_kinds)))
            partition = self.rng.choice((old.partition, *range(world.PARTITIONS)))
            record = self.log.raw(partition, old.value)
            self.carried.add((record.partition, record.offset))

    def some_groups(self) -> tuple[str, ...]:
        return tuple(sorted(self.rng.sample(world.GROUPS, self.rng.randrange(1, len(world.GROUPS)))))

    def end(self, following: int | None = None) -> None:
        """An epoch; the registry also says something between its end and its marker."""
        log = self.log
        if log.in_force and not log.sets[log.in_force][0].retired:
            log.now_ms = max(log.now_ms, (self.epoch + 1) * world.EPOCH_MS + 500)
            for group in log.sets[log.in_force][0].groups:
                if self.rng.random() < 0.3:
                    log.open(group, f"LATE_{group.replace('/', '_').upper()}_{self.epoch - world.FIRST}", log.now_ms)
        super().end(following)

    def set(self, **changes) -> None:
        """Another generation takes force, perhaps after one with a mistake."""
        number = self.log.in_force + 1
        if self.rng.random() < 0.4:
            self.log.define(number, groups=self.some_groups())
        self.log.define(number, **{"groups": self.groups, **changes})
        self.carry()
        self.end(number)

    def something(self) -> None:
        """One step."""
        match self.rng.choice(("epoch", "epoch", "move", "set", "retire")):
            case "set":
                self.set()
            case "move":
                self.groups = self.some_groups()
                self.set()
            case "retire":
                self.set(retired=True, groups=())
                self.carry()
                self.set()
            case _:
                self.end()
        self.carry()
        self.flush(until_idle=self.rng.random() < 0.5)

    def without(self) -> list[Record]:
        """The log as it is when nobody carries anything."""
        return [record for record in self.log.records if (record.partition, record.offset) not in self.carried]
