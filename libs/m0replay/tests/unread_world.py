"""A catalog that moves between lanes, and lanes of which raw loses what they had not read."""

import contextlib
import random
from collections.abc import Callable

import lanes_world as world
from m0common.errors import SettingsError
from m0lanes.generations import lanes_of, partition_of
from recorded_world import Recorded
from troubled_world import rebase

BY_LANE = {partition_of(group, world.PARTITIONS): group for group in reversed(world.GROUPS)}
A, B, C = sorted(BY_LANE)[:3]


class Gaps:
    """A log written step by step, and what the stages say of it."""

    def __init__(self, *lanes: int) -> None:
        self.log = world.World(groups=[BY_LANE[lane] for lane in lanes])
        self.log.begin()
        self.recorded = Recorded()
        self.epochs = 0
        self._written = 0

    @property
    def lanes(self) -> tuple[int, ...]:
        """Those of the set in force."""
        return lanes_of(self.log.sets[self.log.in_force][0])

    async def flush(self) -> None:
        """The stages read what is written."""
        rest, self._written = self.log.records[self._written :], len(self.log.records)
        await self.recorded.of(rest)

    async def end(self, epochs: int = 1, following: int | None = None) -> None:
        """Epochs in which something happens in every group; the last puts a generation in force."""
        for left in reversed(range(epochs)):
            log, epoch_id = self.log, world.FIRST + self.epochs
            log.now_ms = max(log.now_ms, epoch_id * world.EPOCH_MS)
            for number, group in enumerate(log.sets[log.in_force][0].groups):
                log.open(group, f"COIN_{number}_{self.epochs}", log.now_ms + number)
                for step, heads in enumerate((True, False, number == 0)):
                    log.toss(group, heads, log.now_ms + 100 * step + number)
            log.end(epoch_id, None if left else following)
            self.epochs += 1
            await self.flush()

    async def to(self, *lanes: int) -> None:
        """An epoch ends, and with it the catalog moves to other lanes."""
        number = max(self.log.sets) + 1
        self.log.define(number, groups=tuple(sorted(BY_LANE[lane] for lane in lanes)))
        await self.end(following=number)

    async def loses(self, lane: int, *happens: Callable) -> None:
        """Raw loses what happens, before a lane has read it."""
        self.recorded.behind.add(lane)
        for each in happens:
            await each()
        self.recorded.lose_raw(lane)

    async def repair(self, lane: int, **options) -> None:
        """A new life of the lane behind what is lost."""
        await rebase(self.recorded, lane, **options)
        await self.flush()

    def closed(self) -> list[int]:
        """The epochs that live has closed, counted from the first."""
        return sorted(epoch_id - world.FIRST for epoch_id in self.recorded.headers())


async def at_random(seed: int) -> Gaps:
    """Moves between lanes, of which raw loses a few, once or twice; not every lane can be repaired."""
    rng = random.Random(seed)
    course = Gaps(*rng.sample((A, B, C), rng.randrange(1, 4)))

    async def moves() -> None:
        await course.to(*rng.sample((A, B, C), rng.randrange(1, 3)))

    await course.end()
    for _ in range(rng.randrange(1, 3)):
        if rng.random() < 0.5:
            await moves()
        await course.end()
        lost = rng.sample(course.lanes, rng.randrange(1, len(course.lanes) + 1))
        course.recorded.behind.update(lost)
        for _ in range(rng.randrange(1, 5)):
            await rng.choice((course.end, moves, moves))()
        for lane in lost:
            course.recorded.lose_raw(lane)
        await course.end(rng.randrange(2))
        for lane in lost:
            with contextlib.suppress(SettingsError):
                await course.repair(lane, from_beginning=rng.random() < 0.5)
        await course.end()
    await course.end(2)
    return course
