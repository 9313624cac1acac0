"""Recorded logs in which lanes begin new lives, on purpose or at random, while generations come and topics are lost."""

import contextlib
import random

import lanes_world as world
from lanes_lives import EDITED, LANES
from lanes_toy import Coins
from m0common.errors import SettingsError
from m0common.topics import FEATURES, NORMALIZED, PREDICTIONS
from m0lanes.generations import lanes_of
from m0lanes.stages import Heart
from m0replay.control_keys import ControlKey
from m0replay.rebasing import write_rebases
from recorded_world import Recorded, planned

TWO = Heart(world.DEPLOYMENT, {world.COINS_RELEASE: Coins(), EDITED: Coins()}, bytes([6]) * 32)
KEY = ControlKey(world.CONTROL, world.DEPLOYMENT.control_key, world.GENESIS)
RELEASES = (world.COINS_RELEASE, EDITED)
INPUTS = {1: NORMALIZED.name, 2: FEATURES.name, 3: PREDICTIONS.name}
"""By how many stages run: what the first one reads that does not."""


async def rebase(recorded: Recorded, lane: int, release: bytes | None = None, **options) -> None:
    """Write what `m0 lane rebase` writes."""
    plan = await planned(recorded, lane, release, **options)
    await write_rebases(recorded.broker, KEY, [plan], recorded.clock)


async def rebased(seed=1, lanes=LANES, release=None, heart=world.HEART, **options) -> Recorded:
    """Three epochs, a rebase of these lanes, two more epochs."""
    log = world.season(3, seed)
    recorded = Recorded(heart)
    await recorded.of(log.records)
    for lane in lanes:
        await rebase(recorded, lane, release, **options)
    since = len(log.records)
    world.go_on(log, [3, 4], seed)
    return await recorded.of(log.records[since:])


class Troubled:
    """A log made up at random: nothing in it is lost for ever, every epoch closes."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._log = world.World()
        self._log.begin()
        self.recorded = Recorded(TWO)
        self._stages = self.recorded.cores
        self._lived: bytes | None = None
        """What all lanes were given beside their set's release, until a set gives them another."""

    async def of(self, epochs: int) -> Recorded:
        """So many epochs, in some of which later stages stand still and lose what they had not read."""
        await self.recorded.of(self._log.records)
        lost: str | None = None
        for index in range(epochs):
            lanes = lanes_of(self._log.sets[self._log.in_force][0])  # until its last record is played
            records, whole = self._epoch(index)
            self.recorded.cores = self._stages
            if lost is not None:
                await self.recorded.lose(lost)
                await self._begin_lives(range(world.PARTITIONS), 1.0)
                lost = None
            elif 0 < index < epochs - 2 and self._rng.random() < 0.3:
                running = self._rng.choice((1, 2, 3))
                lost, self.recorded.cores = INPUTS[running], self._stages[:running]
            for number, record in enumerate(records):
                await self.recorded.of([record])
                if lost is None and index and self._rng.random() < 0.08 and number < whole:
                    await self._begin_lives(lanes, 0.5)
            self._lived = self._lived if whole == len(records) else None
        return self.recorded

    def _epoch(self, index: int) -> tuple[list, int]:
        """Its records, and how many of them there are before lanes go over to another release, one behind the other: a
        life from an older epoch would be lived under the new one in some, and an epoch of two is never closed.
        """
        log, rng, since = self._log, self._rng, len(self._log.records)
        start = world.BASE_MS + index * world.EPOCH_MS
        for number, group in enumerate(log.sets[log.in_force][0].groups):
            log.now_ms = start + 10 * number
            log.open(group, f"COIN_{number}_{index}", log.now_ms)
        for step in range(10):
            log.now_ms = start + 1500 * step + 100
            log.toss(rng.choice(world.GROUPS), rng.random() < 0.6, log.now_ms + rng.randrange(-15_000, 45_000))
        following = None
        if rng.random() < 0.3:
            following = max(log.sets) + 1
            groups = tuple(sorted(rng.sample(world.GROUPS, rng.randrange(1, 5))))
            log.define(following, groups=groups, release=rng.choice(RELEASES).hex())
        before = len(log.records)
        log.end(world.FIRST + index, following)
        return log.records[since:], (len(log.records) if following is None else before) - since

    async def _begin_lives(self, lanes, likely: float) -> None:
        # all lanes get another release, or none does: an epoch of two is never closed
        given = self._rng.choice((None, None, *RELEASES))
        release = self._lived = given or self._lived
        for lane in lanes:
            if given is None and self._rng.random() >= likely:
                continue
            origin: dict = {}
            if self._rng.random() < 0.2:
                origin = {"from_beginning": True}
            elif self._rng.random() < 0.4:
                origin = {"from_epoch": self._rng.choice(sorted(self.recorded.headers()))}
            # the lane may not have had that epoch, and may not have begun at all
            for options in (origin, {}):
                with contextlib.suppress(SettingsError):
                    await rebase(self.recorded, lane, release, **options)
                    break
