"""Following topics outside any group: the one way to read a log from a place of one's own.

    async with Follower(broker) as follower:
        await follower.open(await follower.places(RAW.name))
        await follower.go(follower.begins, follower.ends)
        while follower.unread:
            records = await follower.next()

How far a reader is says its position and no record: an end is reached when everything before it has been passed,
whether or not its last record is still there (compacted, aborted, the marker of a transaction).

An offset that the log does not hold is OffsetsGone; a follower never chooses another place. Its user may, when it knows
what is lost. What cannot be read is counted and said, and is no dead letter: every replica reads it again, and nobody
who may write a topic can stop its readers.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from m0common.errors import DeadLetterError, OffsetsGone
from m0common.stream.broker import AT_BEGINNING, Broker, Consumer, TopicPartition
from m0common.stream.metrics import StageMetrics
from m0common.stream.records import Record
from m0common.stream.retry import Retry
from m0common.stream.silence import Silence
from m0common.telemetry.logs import logger

log = logger(__name__)

READ_RECORDS = 1000
POLL_MS = 500
LAG_EVERY_S = 1.0

T = TypeVar("T")


class Follower:
    """Reads partitions from given offsets. Raises Unavailable when the broker is away; see `waiting` for another.

    `next_offsets` is that of each partition; `begins` and `ends` are those of the log at `open`. Partitions
    with an offset in `until` are read up to it, without it; it may be moved on.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        metrics: StageMetrics | None = None,
        retry: Retry | None = None,
        allow_create_time: bool = False,
    ) -> None:
        self.begins: dict[TopicPartition, int] = {}
        self.ends: dict[TopicPartition, int] = {}
        self.next_offsets: dict[TopicPartition, int] = {}
        self.until: Mapping[TopicPartition, int] = {}
        self._broker = broker
        self._metrics = metrics
        self._retry = retry
        self._allow_create_time = allow_create_time
        self._consumer: Consumer | None = None
        self._paused: frozenset[TopicPartition] = frozenset()
        self._silence = Silence()
        self._lag_due_s = 0.0
        self._unreadable = 0

    @classmethod
    def waiting(cls, broker: Broker, name: str) -> Self:
        """For services: it waits for a broker that is away, however long, and is measured as stage `name`."""
        metrics = StageMetrics(name)
        return cls(broker, metrics=metrics, retry=Retry(name, metrics.unavailable.inc))

    @property
    def problem(self) -> str | None:
        """Readiness: why nothing can be heard of the log, None when it can."""
        away = None if self._retry is None else self._retry.problem
        return away or self._silence.problem()

    @property
    def unread(self) -> frozenset[TopicPartition]:
        """The partitions that have not come to their `until`."""
        return frozenset(p for p, at in self.next_offsets.items() if p not in self.until or at < self.until[p])

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the log at `open` has been passed."""
        return all(at >= self.ends[place] for place, at in self.next_offsets.items())

    async def places(self, *topics: str) -> list[TopicPartition]:
        """Every partition of `topics`. Raises Unavailable when one does not exist."""
        counts = {topic: await self.answer(partial(self._broker.partitions, topic)) for topic in topics}
        return [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]

    async def open(self, places: Iterable[TopicPartition]) -> None:
        """Connect, and look where these partitions begin and end now."""
        await self.close()
        wanted = list(places)
        consumer = self._consumer = self._broker.consumer(allow_create_time=self._allow_create_time)
        try:
            await self.answer(consumer.start)
            self.begins = await self.answer(lambda: consumer.begin_offsets(wanted))
            self.ends = await self.answer(lambda: consumer.end_offsets(wanted))
        except BaseException:
            await self.close()
            raise

    async def go(self, starts: Mapping[TopicPartition, int], until: Mapping[TopicPartition, int] | None = None) -> None:
        """Read these of the opened partitions, and no others, from these offsets (also AT_BEGINNING and AT_END).

        Raises OffsetsGone for a start behind the end: what was read before is not in this log.
        """
        beyond = [place for place, start in starts.items() if start > self.ends[place]]
        begins = await self.answer(lambda: self.begin_offsets(beyond))
        ends = await self.answer(lambda: self.end_offsets(beyond))
        for place in beyond:
            if starts[place] > ends[place]:
                raise OffsetsGone(*place, starts[place], begins[place], ends[place])
        consumer = self._opened
        await self.answer(lambda: consumer.assign(starts))
        self.next_offsets = {place: consumer.position(place) for place in starts}
        self.until = until or {}
        self._paused = frozenset()
        self._silence = Silence()

    async def next(
        self,
        max_records: int = READ_RECORDS,
        timeout_ms: int = POLL_MS,
        only: Collection[TopicPartition] | None = None,
    ) -> list[Record]:
        """Up to `max_records` in offset order per partition, of `only` these; none after `timeout_ms` without any.

        Returns at once when there is nothing left to read. Raises OffsetsGone when a partition does not hold what
        comes next.
        """
        wanted = self.unread if only is None else self.unread.intersection(only)
        if not wanted:
            return []
        consumer = self._opened
        self._turn_to(wanted)
        with self._silence.poll(consumer):
            records = await self.answer(lambda: consumer.getmany(max_records, timeout_ms))
        beyond = self._move(consumer, wanted)
        self._measure(consumer)
        if beyond:
            return [r for r in records if r.offset < beyond.get(TopicPartition(r.topic, r.partition), r.offset + 1)]
        return records

    def _turn_to(self, wanted: frozenset[TopicPartition]) -> None:
        paused = frozenset(self.next_offsets.keys() - wanted)
        self._opened.pause(paused - self._paused)
        self._opened.resume(self._paused - paused)
        self._paused = paused

    def _move(self, consumer: Consumer, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Note how far it has come; of the partitions that went beyond their `until`, that."""
        beyond = {}
        for place in places:
            at = consumer.position(place)
            end = self.until.get(place, at)
            if at > end:
                beyond[place] = end
                consumer.seek(place, end)  # what lies behind is not for now
            self.next_offsets[place] = min(at, end)
        return beyond

    def _measure(self, consumer: Consumer) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._metrics is None or now_s < self._lag_due_s:
            return
        self._lag_due_s = now_s + LAG_EVERY_S
        for place, at in self.next_offsets.items():
            heard = consumer.heard(place)
            if heard is not None:
                self._metrics.lag(*place, max(0, heard.end - at))

    def unreadable(self, record: Record, error: DeadLetterError) -> None:
        """Count a record that is none of its topic's messages; a flood of them is no flood of lines in the log."""
        if self._metrics is not None:
            self._metrics.dead_letter(error.error)
        self._unreadable += 1
        if self._unreadable & (self._unreadable - 1) == 0:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("unreadable", **place, count=self._unreadable, reason=str(error))

    async def begin_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Where partitions begin now. Raises Unavailable, at once."""
        return await self._opened.begin_offsets(places)

    async def end_offsets(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Where partitions end now. Raises Unavailable, at once."""
        return await self._opened.end_offsets(places)

    async def close(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        self.next_offsets = {}
        if consumer is not None:
            await consumer.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def answer(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The result of `ask`, for which a waiting follower waits as for whatever it asks of the broker itself."""
        return await (ask() if self._retry is None else self._retry.run(ask))

    @property
    def _opened(self) -> Consumer:
        assert self._consumer is not None, "open the follower first"
        return self._consumer


class Bounds(NamedTuple):
    """Where partitions begin, and the ends up to which they can be read."""

    begins: dict[TopicPartition, int]
    ends: dict[TopicPartition, int]


async def bounds(broker: Broker, places: Iterable[TopicPartition]) -> Bounds:
    """Where these partitions begin and end now. Raises Unavailable."""
    async with Follower(broker) as follower:
        await follower.open(places)
        return Bounds(follower.begins, follower.ends)


async def read_to_end(
    broker: Broker,
    topic: str,
    partitions: Iterable[int] | None = None,
    starts: Mapping[int, int] | None = None,
    until: Mapping[int, int] | None = None,
    *,
    allow_create_time: bool = False,
) -> AsyncGenerator[list[Record], None]:
    """Batches of records up to the end the topic had at the call, in offset order per partition.

    `partitions` defaults to all of them, `starts` (partition to offset) to the beginning; `until` (partition to offset)
    ends a partition earlier. The end is that of what is committed, so a transaction that stays open holds nobody up.
    Raises Unavailable, OffsetsGone when a start is gone.
    """
    async with Follower(broker, allow_create_time=allow_create_time) as follower:
        wanted = await follower.places(topic) if partitions is None else {TopicPartition(topic, n) for n in partitions}
        places = sorted(wanted)
        await follower.open(places)
        ends = {place: min(end, (until or {}).get(place.partition, end)) for place, end in follower.ends.items()}
        await follower.go({place: (starts or {}).get(place.partition, AT_BEGINNING) for place in places}, ends)
        while follower.unread:
            if records := await follower.next():
                yield records
