"""A raw log of two catalogs with several lanes each, fed to a depth in any order of its partitions, with no broker."""

import asyncio

import lanes_world as world
from m0_signer.depth import StartAgain
from m0_signer.published import PublishedStates
from m0_signer.raw_depth import RawDepth
from m0_signer.workers.link import WorkerLost
from m0common.stream.broker import TopicPartition
from m0common.topics import RAW
from signer_crew import in_memory
from signer_log import BASE_MS, EPOCH_MS, FIRST_EPOCH, HEART, PARTITIONS

CATALOGS = ("coins", "notes")


def two_catalogs(epochs=5):
    """The logs of both, which share their records."""
    coins = world.World()
    notes = world.World("notes", groups=("cent", "franc", "mark", "yen"), beside=coins)
    for log in (coins, notes):
        log.begin()
    go_on((coins, notes), range(epochs))
    return coins, notes


def go_on(logs, epochs):
    for index in epochs:
        for log in logs:
            log.now_ms = BASE_MS + index * EPOCH_MS
            for number, group in enumerate(log.groups):
                log.open(group, f"{log.catalog.upper()}_{number}_{index}", log.now_ms)
        for step in range(12):
            for log in logs:
                log.now_ms = BASE_MS + index * EPOCH_MS + 1000 * step
                # some of them wait for the next window
                log.toss(log.groups[step % 4], step % 3 == 0, log.now_ms + 3000 * (step % 7))
        for log in logs:
            log.end(FIRST_EPOCH + index)


async def nothing_published(_catalog):
    return PublishedStates(False, [])


class Feeder:
    """Feeds a depth, choosing the partition of the next record; `start` again is a restart after kill -9."""

    def __init__(self, database, records, rng, launch=in_memory, workers=2, published=nothing_published):
        self.logs = [[r for r in records if r.partition == p] for p in range(PARTITIONS)]
        self.rng = rng
        self.said = {}
        self.lost = 0
        self.turns = 0
        self.depth = RawDepth(HEART, launch, workers, database, CATALOGS, published)
        self.next = {}

    async def start(self):
        await self.depth.stop()
        begins = {TopicPartition(RAW.name, p): 0 for p in range(PARTITIONS)}
        ends = {TopicPartition(RAW.name, p): len(log) for p, log in enumerate(self.logs)}
        self.next = await self.depth.start(begins, ends)
        self._take(self.depth.undecided())

    def _take(self, headers):
        for header in headers:
            place = (header.catalog, header.epoch_id)
            assert self.said.setdefault(place, header.header) == header.header, place

    @property
    def left(self):
        return [where for where, at in self.next.items() if at < len(self.logs[where.partition])]

    async def read(self, count=1 << 30):
        """So many records, or all that are left and what they bring."""
        while count > 0 and (self.left or self.depth.works):
            await self._survive(self._turn())
            count -= 1

    async def save(self):
        await self._survive(self.depth.save(dict(self.next)))

    async def _survive(self, doing):
        try:
            await doing
        except StartAgain:
            await self._survive(self.start())
        except WorkerLost:
            self.lost += 1
            await self._survive(self.start())

    async def _turn(self):
        self.turns += 1
        if self.left:
            where = self.rng.choice(self.left)
            record = self.logs[where.partition][self.next[where]]
            self._take(await self.depth.feed(record))
            self.next[where] += 1
        if not self.left or self.turns % 10 == 0:
            self._take(await self.depth.catch_up(self.next))
            await asyncio.sleep(0 if self.left else 0.001)
