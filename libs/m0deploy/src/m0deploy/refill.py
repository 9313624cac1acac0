"""One partition of a log written anew from an archive, at the offsets it had."""

import bisect
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from m0archive.entries import Gap
from m0archive.incarnation import Incarnation, Stretch
from m0common.errors import OffsetsGone, SettingsError
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.follow import read_to_end
from m0common.stream.kafka_exact import FILLER
from m0common.stream.records import Record
from m0common.topics import BY_NAME

LOOKED_AT = 100
"""So many of the records that stand for nothing are looked at in a partition that was begun before."""


class Writer(Protocol):
    """What m0common.stream.kafka_exact.ExactWriter does."""

    async def write(self, where: TopicPartition, at: int, records: Sequence[Record]) -> None: ...

    async def fill(self, where: TopicPartition, at: int, count: int) -> None: ...

    async def skip(self, where: TopicPartition, count: int) -> None: ...


class Held(NamedTuple):
    """Where a partition begins and ends in Kafka before it is written."""

    begin: int
    end: int


class Refill:
    """From `begin` to the end that the archive has. `gaps` are what the archive lacks of this partition, in order."""

    def __init__(self, log: Incarnation, where: TopicPartition, begin: int, gaps: Sequence[Gap]) -> None:
        self.where, self.begin, self.end = where, begin, log.end(where)
        self._log, self._gaps = log, gaps

    async def check(self, broker: Broker, held: Held) -> None:
        """Raise SettingsError for a partition that has anything else than a restore from this archive has put there."""
        if held.end > self.end:
            raise self._foreign(f"ends at {held.end}, and the archive at {self.end}")
        first = max(held.begin, min(self.begin, held.end))
        if held.begin < first:
            await self._compare(broker, held.begin, min(held.begin + LOOKED_AT, first))
        if first < held.end:
            await self._compare(broker, first, held.end)

    async def _compare(self, broker: Broker, start: int, until: int) -> None:
        topic, partition = self.where
        stretch = Stretch([], 0)
        starts, ends = {partition: start}, {partition: until}
        async for batch in read_to_end(broker, topic, [partition], starts, ends, allow_create_time=True):
            for record in batch:
                if record.offset < self.begin and record.value == FILLER:
                    continue
                try:
                    if record.offset >= stretch.end:
                        stretch = await self._log.read(self.where, record.offset)
                except OffsetsGone:
                    raise self._foreign(f"has a record at {record.offset}, and the archive has none") from None
                at = bisect.bisect_left(stretch.records, record.offset, key=lambda known: known.offset)
                if at == len(stretch.records) or stretch.records[at] != record:
                    raise self._foreign(f"has another record at {record.offset} than the archive")

    async def run(self, writer: Writer, broker: Broker, held: Held) -> int:
        """Write what is missing; how many records. Raises Damaged, Unavailable, SettingsError."""
        at, written = held.end, 0
        if at < self.begin:
            await self._pass(writer, at, self.begin - at)
            at = self.begin
        if held.begin < self.begin and not BY_NAME[self.where.topic].compacted:
            await broker.delete_before({self.where: self.begin})
        while at < self.end:
            gap = next((gap for gap in self._gaps if gap.first <= at < gap.end), None)
            if gap is not None:
                await writer.skip(self.where, gap.end - at)
                at = gap.end
                continue
            stretch = await self._log.read(self.where, at)
            for run, hole in runs(stretch, at):
                if run:
                    await writer.write(self.where, at, run)
                await writer.skip(self.where, hole)
                at, written = at + len(run) + hole, written + len(run)
        return written

    async def _pass(self, writer: Writer, at: int, count: int) -> None:
        """Come to the beginning. Of a compacted topic nothing can be deleted, so nothing is written that would have to
        be.
        """
        if BY_NAME[self.where.topic].compacted:
            await writer.skip(self.where, count)
        else:
            await writer.fill(self.where, at, count)

    def _foreign(self, what: str) -> SettingsError:
        topic, partition = self.where
        return SettingsError(
            f"{topic} partition {partition} is not empty: it {what}: a log is restored into a cluster that has nothing "
            "but the topics of `m0 topics apply`; empty Kafka's storage and begin again"
        )


def runs(stretch: Stretch, at: int) -> Iterator[tuple[Sequence[Record], int]]:
    """The records from `at` on whose offsets follow each other, with how many offsets behind them have none."""
    records, first = stretch.records, 0
    if not records:
        yield [], stretch.end - at
        return
    if records[0].offset > at:
        yield [], records[0].offset - at
    for number, record in enumerate(records):
        behind = records[number + 1].offset if number + 1 < len(records) else stretch.end
        if behind > record.offset + 1 or number + 1 == len(records):
            yield records[first : number + 1], behind - record.offset - 1
            first = number + 1


async def begin_of(log: Incarnation, where: TopicPartition, kept_since_ms: int) -> int:
    """Where a partition begins that holds what was written since then: what is older would be deleted at once.

    Raises Damaged, Unavailable.
    """
    low, high = log.begin(where), log.end(where)
    if low == high or await _is_kept(log, where, low, kept_since_ms):
        return low
    while low < high:
        middle = (low + high) // 2
        if await _is_kept(log, where, middle, kept_since_ms):
            high = middle
        else:
            low = middle + 1
    return low


async def _is_kept(log: Incarnation, where: TopicPartition, offset: int, since_ms: int) -> bool:
    try:
        records = (await log.read(where, offset)).records
    except OffsetsGone:
        return True  # a gap says nothing: what is before it is looked at
    return not records or records[-1].append_ms >= since_ms
