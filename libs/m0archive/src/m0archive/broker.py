"""An incarnation of the log behind the broker port: what reads Kafka reads an archive, by the same offsets.

It can be read and no more. Topics that are not archived do not exist here.
"""

import asyncio
from collections.abc import Mapping, Sequence

from m0common.errors import OffsetsGone, SettingsError, Unavailable
from m0common.stream.broker import (
    AT_BEGINNING,
    AT_END,
    Heard,
    OnAssigned,
    OnRevoked,
    Producer,
    TopicPartition,
    Transactions,
)
from m0common.stream.records import Record

from m0archive.incarnation import Incarnation

READ_ONLY = "an archive can be read and no more"


class ArchiveBroker:
    """See m0common.stream.broker.Broker."""

    def __init__(self, incarnation: Incarnation) -> None:
        self._incarnation = incarnation

    def consumer(
        self, *, group: str | None = None, member: str | None = None, allow_create_time: bool = False
    ) -> "ArchiveConsumer":
        """See Broker. Its records bear the times that they had."""
        del member, allow_create_time
        if group is not None:
            raise SettingsError(f"{READ_ONLY}: it has no group {group}")
        return ArchiveConsumer(self._incarnation)

    def producer(self) -> Producer:
        """Raises SettingsError."""
        raise SettingsError(READ_ONLY)

    def transactions(self, name: str) -> Transactions:
        """Raises SettingsError."""
        raise SettingsError(f"{READ_ONLY}: nobody writes as {name}")

    async def delete_before(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Raises SettingsError."""
        del offsets
        raise SettingsError(READ_ONLY)

    async def cluster(self) -> str:
        """See Broker: of the cluster that the log was archived from."""
        return self._incarnation.cluster

    async def watermarks(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See Broker."""
        return {where: self._incarnation.end(where) for where in partitions}

    async def partitions(self, topic: str) -> int:
        """See Broker."""
        count = self._incarnation.partitions(topic)
        if not count:
            raise Unavailable(f"topic {topic} is not in the archive of cluster {self._incarnation.cluster}")
        return count

    async def close(self) -> None:
        """See Broker."""


class ArchiveConsumer:
    """See m0common.stream.broker.Consumer. Every method that reads raises Damaged and Unavailable too."""

    def __init__(self, incarnation: Incarnation) -> None:
        self._incarnation = incarnation
        self._next_offsets: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._answers = 0

    async def start(self) -> None:
        """See Consumer."""

    async def stop(self) -> None:
        """See Consumer."""
        self._next_offsets = {}

    async def subscribe(self, topics: Sequence[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Raises SettingsError."""
        del topics, on_assigned, on_revoked
        raise SettingsError(READ_ONLY)

    async def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See Consumer."""
        log = self._incarnation
        self._paused = set()
        self._next_offsets = {
            where: log.end(where) if offset == AT_END else log.begin(where) if offset == AT_BEGINNING else offset
            for where, offset in offsets.items()
        }

    async def getmany(self, max_records: int, timeout_ms: int) -> list[Record]:
        """See Consumer."""
        self._answers += 1
        records: list[Record] = []
        for where in [where for where in self._next_offsets if where not in self._paused]:
            offset = self._next_offsets.pop(where)
            self._next_offsets[where] = offset  # in turn again behind the others
            if offset == self._incarnation.end(where):
                continue
            try:
                found = await self._incarnation.read(where, offset)
            except OffsetsGone:
                if not records:
                    raise
                self._next_offsets = {where: offset, **self._next_offsets}  # first in turn at the next poll
                break
            taken = found.records[: max_records - len(records)]
            records += taken
            self._next_offsets[where] = found.end if len(taken) == len(found.records) else taken[-1].offset + 1
            if len(records) == max_records:
                break
        if not records and not self._moves():
            await asyncio.sleep(timeout_ms / 1000)
        return records

    def _moves(self) -> bool:
        return any(at != self._incarnation.end(p) for p, at in self._next_offsets.items() if p not in self._paused)

    def position(self, partition: TopicPartition) -> int:
        """See Consumer."""
        return self._next_offsets[partition]

    def reading(self) -> frozenset[TopicPartition]:
        """See Consumer."""
        return frozenset(self._next_offsets.keys() - self._paused)

    def heard(self, partition: TopicPartition) -> Heard | None:
        """See Consumer."""
        return Heard(self._answers, self._incarnation.end(partition)) if self._answers else None

    def contested(self) -> str | None:
        """See Consumer."""
        return None

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See Consumer."""
        if partition not in self._next_offsets:
            raise KeyError(partition)
        self._next_offsets[partition] = offset

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        """See Consumer."""
        self._paused |= partitions

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        """See Consumer."""
        self._paused -= partitions

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Raises SettingsError."""
        del next_offsets
        raise SettingsError(READ_ONLY)

    async def begin_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See Consumer."""
        return {where: self._incarnation.begin(where) for where in partitions}

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See Consumer."""
        return {where: self._incarnation.end(where) for where in partitions}
