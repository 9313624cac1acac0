"""The broker port: what the project needs of Kafka, and no more.

Implementations: `m0common.stream.kafka` (aiokafka) and `m0common.stream.memory` (tests); both pass one contract suite.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from m0common.stream.records import Produce, Record
from m0common.topics import Topic


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


OnAssigned = Callable[[frozenset[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
"""Called with newly assigned partitions before anything of them is delivered; returns where to start reading each
(a partition left out starts at the group's committed offset, else at the beginning)."""
OnRevoked = Callable[[frozenset[TopicPartition]], Awaitable[None]]
"""Called with partitions that are taken away, while they may still be committed."""


class Consumer(Protocol):
    """Reads partitions in order. A consumer without a group reads what `assign` names."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def subscribe(self, topics: Sequence[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Join the group for `topics`."""
        ...

    async def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read these partitions from these offsets (-1: the end, -2: the beginning), outside any group."""
        ...

    async def getmany(self, max_records: int, timeout_ms: int) -> list[Record]:
        """Up to `max_records` in offset order per partition; an empty list after `timeout_ms` without any."""
        ...

    def pause(self, partitions: frozenset[TopicPartition]) -> None: ...

    def resume(self, partitions: frozenset[TopicPartition]) -> None: ...

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Commit the *next* offset to read of each partition; dropped for partitions that were taken away meanwhile."""
        ...

    async def begin_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]: ...

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition."""
        ...


class Producer(Protocol):
    """Writes in order; an acknowledged message survives kill -9 of anything."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, messages: Sequence[Produce]) -> None:
        """Write `messages`, batched per partition, in order; returns when every one is acknowledged.

        Raises MessageTooLarge (naming topic, size and limit) or Unavailable; after Unavailable the caller sends the
        same messages again: duplicates are harmless, holes are not.
        """
        ...


class Broker(Protocol):
    """Makes consumers and producers, and topics."""

    def consumer(self, *, group: str | None = None, member: str | None = None) -> Consumer:
        """`member` is a static member name (Kafka's group.instance.id): a quick restart rejoins."""
        ...

    def producer(self) -> Producer: ...

    async def create_topics(self, topics: Sequence[Topic], group_partitions: int, catalog_partitions: int) -> None:
        """Create what is missing, set the settings of what exists; never deletes."""
        ...

    async def partitions(self, topic: str) -> int:
        """How many partitions `topic` has; Unavailable when the topic does not exist."""
        ...

    async def close(self) -> None: ...
