"""A log that is written step by step, and the fleet that reads it."""

import random

import lanes_world as world
from lanes_fleet import Fleet

FIRST, EPOCH = world.FIRST, world.EPOCH_MS


class Story:
    """What happens, in the order in which it is written; `written` of it the fleet can read."""

    def __init__(self, rng: random.Random, log: world.World, fleet: Fleet) -> None:
        self.rng, self.log, self.fleet = rng, log, fleet
        self.epoch, self.groups, self.written = FIRST, log.groups, 0
        self.lives: dict[int, int] = {}
        log.begin()

    def flush(self, *, until_idle: bool = True) -> None:
        self.fleet.write(self.log.records[self.written :])
        self.written = len(self.log.records)
        if until_idle:
            self.fleet.run_until_idle()

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

    def marked(self, lane: int, closed: int) -> list[tuple[int, int]]:
        """The markers of a lane up to epoch `closed` at which all its stages have a state, as `(epoch, life)`."""
        stages: dict[tuple[int, int], set[int]] = {}
        for manifest in self.fleet.topics.manifests:
            if manifest.partition == lane and manifest.stage < 4 and manifest.epoch_id is not None:
                stages.setdefault((manifest.epoch_id, manifest.life), set()).add(manifest.stage)
        return sorted(at for at, found in stages.items() if len(found) == 3 and at[0] <= closed)
