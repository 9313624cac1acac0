"""Reads partitions outside any group: from where it is told, each record once, waiting while the broker is away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from m0common.errors import Unavailable
from m0common.stream.broker import Broker, Consumer, TopicPartition
from m0common.stream.records import Record
from m0common.telemetry.logs import logger

from m0_realtime import limits

T = TypeVar("T")
RETRY_S = 1.0
_log = logger(__name__)


async def patiently(what: str, call: Callable[[], Awaitable[T]]) -> T:
    """The result of `call`, tried again until the broker answers (and the topic exists)."""
    while True:
        try:
            return await call()
        except Unavailable as error:
            _log.warning("broker_away", waiting_for=what, error=str(error))
            await asyncio.sleep(RETRY_S)


async def partitions(broker: Broker, topics: Sequence[str]) -> list[TopicPartition]:
    """Every partition of `topics`, once all of them exist."""
    found = []
    for topic in topics:
        count = await patiently(topic, lambda topic=topic: broker.partitions(topic))  # type: ignore[misc]
        found += [TopicPartition(topic, partition) for partition in range(count)]
    return found


class Reader:
    """A consumer of fixed partitions. `positions` is the next offset of each; `ends` where the log ended at start."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self.positions: dict[TopicPartition, int] = {}
        self.begins: dict[TopicPartition, int] = {}
        self.ends: dict[TopicPartition, int] = {}

    async def open(self, wheres: Sequence[TopicPartition]) -> None:
        """Connect and look where the partitions begin and end."""
        await patiently("a connection", self._consumer.start)
        self.begins = await patiently("offsets", lambda: self._consumer.begin_offsets(wheres))
        self.ends = await patiently("offsets", lambda: self._consumer.end_offsets(wheres))

    async def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read from here on."""
        self.positions = dict(positions)
        await patiently("an assignment", lambda: self._consumer.assign(self.positions))

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the log at `open` has been read."""
        return all(self.positions[where] >= end for where, end in self.ends.items())

    async def batches(self) -> AsyncIterator[list[Record]]:
        """Records in order, without repeats after a reconnection; an empty batch when nothing came for a while."""
        while True:
            try:
                records = await self._consumer.getmany(limits.BATCH_RECORDS, limits.POLL_MS)
            except Unavailable as error:
                _log.warning("broker_away", waiting_for="records", error=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            fresh = []
            for record in records:
                where = TopicPartition(record.topic, record.partition)
                if record.offset >= self.positions[where]:
                    self.positions[where] = record.offset + 1
                    fresh.append(record)
            # what is passed over (compacted or aborted records) counts as read
            for where, position in self.positions.items():
                self.positions[where] = max(position, self._consumer.position(where))
            yield fresh

    async def end_offsets(self) -> dict[TopicPartition, int]:
        """Where the partitions end now; Unavailable when the broker is away."""
        return await self._consumer.end_offsets(list(self.positions))

    async def close(self) -> None:
        """Disconnect."""
        await self._consumer.stop()
