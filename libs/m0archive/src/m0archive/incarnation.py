"""One incarnation of the log as an archive has it: which piece holds an offset, and its records.

Finding a piece halves the entries, which grow with time, so it reads about twenty of them in a year's.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from m0common.deployment import Deployment
from m0common.errors import OffsetsGone
from m0common.stream.broker import TopicPartition
from m0common.stream.records import Record

from m0archive import pieces
from m0archive.chain import Chain
from m0archive.entries import Entry, Gap, Place, check_identity, log_chain, lost_in, offset_of
from m0archive.errors import Damaged, NoArchive
from m0archive.lru import Lru
from m0archive.store import Store

ENTRIES_KEPT = 512
RECORDS_KEPT_BYTES = 64 << 20


class Stretch(NamedTuple):
    """Records of one partition; `end` is the offset behind the last that they stand for."""

    records: list[Record]
    end: int


class Incarnation:
    """From the entry `since` to `last`, both included; what is written behind is not seen."""

    def __init__(self, store: Store, last: Entry) -> None:
        self.last = last
        self._store = store
        self._chain: Chain[Entry] = log_chain(store)
        self._entries: Lru[int, Entry] = Lru(ENTRIES_KEPT)
        self._stretches: Lru[str, Stretch] = Lru(RECORDS_KEPT_BYTES)
        self._found: dict[TopicPartition, int] = {}
        """By partition, the entry in which the place read last lies."""

    @property
    def cluster(self) -> str:
        """The id of the Kafka cluster whose log it is."""
        return self.last.cluster

    def partitions(self, topic: str) -> int:
        """How many partitions of a topic are archived, 0 for a topic that is not."""
        return len(self.last.ends.get(topic, []))

    def begin(self, where: TopicPartition) -> int:
        """Where a partition begins."""
        return max(offset_of(self.last.begins, where), 0)

    def end(self, where: TopicPartition) -> int:
        """Where a partition ends."""
        return max(offset_of(self.last.ends, where), 0)

    async def read(self, where: TopicPartition, offset: int) -> Stretch:
        """The records from an offset on that lie in one piece. Raises OffsetsGone for one that the archive does not
        hold, Damaged, Unavailable.
        """
        place = await self._place(where, offset)
        stretch = self._stretches.get(place.sha256)
        if stretch is None:
            stretch = await self._load(place)
            self._stretches.put(place.sha256, stretch, sum(pieces.size_of(record) for record in stretch.records))
        return Stretch([record for record in stretch.records if record.offset >= offset], stretch.end)

    async def entry(self, number: int) -> Entry:
        """An entry. Raises Damaged, Unavailable."""
        found = self._entries.get(number)
        if found is None:
            found = (await self._chain.expected(number)).link
            self._entries.put(number, found, 1)
        return found

    async def entries(self) -> AsyncIterator[Entry]:
        """All of them, the newest first. Raises Damaged, Unavailable."""
        for number in range(self.last.number, self.last.since - 1, -1):
            yield await self.entry(number)

    async def gaps(self) -> AsyncIterator[Gap]:
        """What is lost, the oldest first. Entries between two that lack as much are not read. Raises Damaged,
        Unavailable.
        """
        stretches = [(self.last.since, self.last.number)]
        while stretches:
            low, high = stretches.pop()
            first, last = await self.entry(low), await self.entry(high)
            lacked_before = first.lacks - lost_in(first.gaps)
            if lacked_before == last.lacks:
                continue
            if low == high:
                for gap in first.gaps:
                    yield gap
                continue
            middle = (low + high) // 2
            stretches += [(middle + 1, high), (low, middle)]

    async def _place(self, where: TopicPartition, offset: int) -> Place:
        if not self.begin(where) <= offset < self.end(where):
            raise self._gone(where, offset)
        low, high = await self._between(where, offset)
        while low < high:
            middle = (low + high) // 2
            if offset_of((await self.entry(middle)).ends, where) > offset:
                high = middle
            else:
                low = middle + 1
        self._found[where] = low
        for place in (await self.entry(low)).places:
            if place.where == where and place.first <= offset < place.end:
                return place
        raise self._gone(where, offset)

    async def _between(self, where: TopicPartition, offset: int) -> tuple[int, int]:
        """Entries of which the last, and not those before the first, end behind an offset: near the last one found."""
        low, high = self.last.since, self.last.number
        near = self._found.get(where, high)
        if offset_of((await self.entry(near)).ends, where) > offset:
            return low, near
        step = 1
        while near + step < high and offset_of((await self.entry(near + step)).ends, where) <= offset:
            near, step = near + step, 2 * step
        return near + 1, min(near + step, high)

    async def _load(self, place: Place) -> Stretch:
        value = await pieces.read(self._store, place.sha256)
        found, first, end, records = await asyncio.to_thread(pieces.unseal, place.sha256, value)
        if (found, first, end) != (place.where, place.first, place.end):
            raise Damaged(pieces.name_of(place.sha256), f"it holds {found} from {first} to {end}, not {place}")
        return Stretch(records, end)

    def _gone(self, where: TopicPartition, offset: int) -> OffsetsGone:
        return OffsetsGone(*where, offset, self.begin(where), self.end(where))


async def newest(store: Store, deployment: Deployment | None = None) -> Incarnation:
    """The newest incarnation in an archive, which is `deployment`'s. Raises NoArchive, Damaged, Unavailable."""
    await check_identity(store, deployment)
    found = await log_chain(store).newest()
    if found is None:
        raise NoArchive(f"the archive at {store.address} holds nothing yet")
    return Incarnation(store, found.link)


async def incarnations(store: Store, deployment: Deployment | None = None) -> AsyncIterator[Incarnation]:
    """Every incarnation, the newest first. Raises NoArchive, Damaged, Unavailable."""
    found = await newest(store, deployment)
    yield found
    while found.last.since > 0:
        before = await log_chain(store).expected(found.last.since - 1)
        found = Incarnation(store, before.link)
        yield found
