"""Filling an archive from Kafka, a round at a time: read on behind what is archived, seal, commit.

How far the archive is stands in its index and nowhere else, so a round that breaks off anywhere loses nothing and
doubles nothing. A round reads ROUND_BYTES at most; a partition whose next record may not leave yet waits for a later
one. Manifests are archived behind the states that they are of, so every state that an archive names, it has.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.leases.port import Lease
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.follow import Follower
from m0common.stream.records import Record
from m0common.telemetry.logs import logger
from m0common.topics import BUNDLES, CURSORS, HEADERS, MANIFESTS, OUTCOMES, RAW, STATE

from m0archive.entries import UNKNOWN
from m0archive.gate import Finals, Gate, epoch_of, state_range
from m0archive.pieces import PIECE_BYTES, Sealed, seal, size_of
from m0archive.store import Store
from m0archive.writer import Writer

TOPICS = tuple(topic.name for topic in (RAW, CURSORS, OUTCOMES, *STATE.values(), MANIFESTS, HEADERS, BUNDLES))
"""What is archived: what a lane's life needs to be gone on with or replayed, and its result."""
ROUND_BYTES = 32 << 20
MANIFESTS_AT_ONCE = 10_000
BATCH_RECORDS = 100
"""Of one poll: so many of the largest are what a round may have too much."""

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """What a round found: `waits_ms` is by topic how long its oldest record that is not archived has been in the log, 0
    when there is none; `lacks` counts the offsets that are lost; `more` says that there is more to read now.
    """

    records: int
    bytes: int
    waits_ms: Mapping[str, int]
    lacks: int
    more: bool


@dataclass(slots=True)
class _Read:
    """What was read of a partition; `end` is the offset of what comes next."""

    first: int
    end: int
    records: list[Record] = field(default_factory=list)
    held: Record | None = None

    def cut(self, at: Record | None) -> None:
        """Leave out this record and what is behind it."""
        if at is None:
            return
        self.records = [record for record in self.records if record.offset < at.offset]
        self.end, self.held = at.offset, at


class Collector:
    """Fills one archive with the log of one cluster. `finals` says which epochs are announced final; an epoch whose
    messages are older than `late_ms` is no secret in any case.
    """

    def __init__(
        self,
        broker: Broker,
        store: Store,
        lease: Lease,
        clock: Clock,
        finals: Callable[[], Awaitable[Finals]],
        late_ms: int,
        round_bytes: int = ROUND_BYTES,
    ) -> None:
        self._broker = broker
        self._writer = Writer(store, lease, clock)
        self._clock = clock
        self._finals = finals
        self._late_ms = late_ms
        self._round_bytes = round_bytes
        self._follower = Follower(broker, allow_create_time=True)
        self._places: list[TopicPartition] = []

    async def open(self, deployment: Deployment) -> None:
        """Become the archive's writer; see Writer.open. Raises Unavailable."""
        partitions = {topic: await self._broker.partitions(topic) for topic in TOPICS}
        self._places = [TopicPartition(topic, n) for topic, count in partitions.items() for n in range(count)]
        await self._writer.open(deployment, await self._broker.cluster(), partitions)
        await self._follower.open(self._places)

    async def close(self) -> None:
        """Leave Kafka."""
        await self._follower.close()

    def archived(self) -> dict[TopicPartition, int]:
        """Up to where each partition is archived; one of which nothing is, is left out."""
        return {where: end for where in self._places if (end := self._writer.end(where)) != UNKNOWN}

    async def round(self) -> Round:
        """Archive what may be. Raises Fenced when another writes this archive now, OffsetsGone when Kafka has lost what
        is archived, Unavailable; after any of them `open` again.
        """
        gate = Gate(await self._finals(), self._clock.now_ms() - self._late_ms)
        begins = await self._follower.begin_offsets(self._places)
        ends = await self._follower.end_offsets(self._places)
        starts = {where: max(begins[where], self._writer.end(where)) for where in self._places}
        for where, lost in self._lost(begins).items():
            first, end = self._writer.end(where), begins[where]
            log.error("archive_gap", topic=where.topic, partition=where.partition, first=first, end=end, lost=lost)
        manifests = {where: at for where, at in starts.items() if where.topic == MANIFESTS.name}
        others = {where: at for where, at in starts.items() if where.topic != MANIFESTS.name}
        read = await self._read(manifests, ends, lambda _: True, MANIFESTS_AT_ONCE)
        for found in read.values():
            found.cut(gate.first_held(found.records))
        read |= await self._read(others, ends, gate.lets)
        _hold_manifests(read)
        sealed = [piece for where, found in sorted(read.items()) for piece in await _sealed(where, found)]
        if sealed:
            await self._writer.commit(sealed, _epochs(read.values()))
        more = any(found.held is None and found.end < ends[where] for where, found in read.items())
        return Round(
            sum(piece.records for piece in sealed),
            sum(len(piece.value) for piece in sealed),
            self._waits_ms(read, ends),
            self._writer.entry.lacks + sum(self._lost(begins).values()),
            more,
        )

    async def _read(
        self,
        starts: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        lets: Callable[[Record], bool],
        records_max: int | None = None,
    ) -> dict[TopicPartition, _Read]:
        """Read up to these ends, to the first record of each partition that may not leave, or until it is enough."""
        read = {where: _Read(at, at) for where, at in starts.items()}
        await self._follower.go(starts, ends)
        left, size, count = set(starts), 0, 0
        while wanted := left & self._follower.unread:
            if size >= self._round_bytes or (records_max is not None and count >= records_max):
                break
            for record in await self._follower.next(BATCH_RECORDS, only=wanted):
                where = TopicPartition(record.topic, record.partition)
                found = read[where]
                if found.held is not None:
                    continue
                if lets(record):
                    found.records.append(record)
                    size, count = size + size_of(record), count + 1
                else:
                    found.end, found.held = record.offset, record
                    left.discard(where)
        for where, found in read.items():
            if found.held is None:
                found.end = self._follower.next_offsets[where]
        return read

    def _lost(self, begins: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """By partition how many offsets Kafka holds no longer that are not archived and stand in no entry yet."""
        ends = {where: self._writer.end(where) for where in self._places}
        return {where: begins[where] - end for where, end in ends.items() if UNKNOWN < end < begins[where]}

    def _waits_ms(self, read: Mapping[TopicPartition, _Read], ends: Mapping[TopicPartition, int]) -> dict[str, int]:
        now_ms, waits_ms = self._clock.now_ms(), dict.fromkeys(TOPICS, 0)
        unknown: set[str] = set()
        for where, found in read.items():
            if found.held is not None:
                oldest_ms = found.held.append_ms
            elif found.end < ends[where] and found.records:
                oldest_ms = found.records[-1].append_ms
            else:
                unknown |= {where.topic} if found.end < ends[where] else set()
                continue
            waits_ms[where.topic] = max(waits_ms[where.topic], now_ms - oldest_ms)
        # what was not come to in this round waits as long as what was, as far as anybody knows
        longest_ms = max(waits_ms.values())
        return waits_ms | {topic: max(longest_ms, waits_ms[topic]) for topic in unknown}


def _hold_manifests(read: Mapping[TopicPartition, _Read]) -> None:
    """Hold every manifest back whose state this round does not bring."""
    for where, found in read.items():
        if where.topic != MANIFESTS.name:
            continue
        for record in found.records:
            needs = state_range(record)
            if needs is None:
                continue
            topic, partition, upto = needs
            state = read.get(TopicPartition(topic, partition))
            if state is not None and state.end < upto:
                found.cut(record)
                break


async def _sealed(where: TopicPartition, found: _Read) -> list[Sealed]:
    """The pieces of what was read of a partition; made in a thread, for compressing takes its time."""
    made: list[Sealed] = []
    first, batch, size = found.first, list[Record](), 0
    for record in found.records:
        batch.append(record)
        size += size_of(record)
        if size >= PIECE_BYTES:
            made.append(await asyncio.to_thread(seal, where, first, record.offset + 1, batch))
            first, batch, size = record.offset + 1, [], 0
    if first < found.end:
        made.append(await asyncio.to_thread(seal, where, first, found.end, batch))
    return made


def _epochs(read: Iterable[_Read]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    headers: Sequence[tuple[str, int]] = [
        epoch for each in read for record in each.records if (epoch := epoch_of(record)) is not None
    ]
    for catalog, epoch_id in headers:
        first, last = found.get(catalog, (epoch_id, epoch_id))
        found[catalog] = min(first, epoch_id), max(last, epoch_id)
    return found
