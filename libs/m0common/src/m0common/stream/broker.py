"""The broker port: what the project needs of Kafka, and no more.

Implementations: `m0common.stream.kafka` (aiokafka) and `m0common.stream.memory` (tests); both pass one contract suite.

Readers see committed records only: what a transaction wrote comes when it is committed, and never when it is aborted.
Until then nothing behind its first record is delivered, and the partition ends there (Kafka's last stable offset).
Offsets have gaps (markers of transactions, aborted records, compaction), so how far a reader is says `position` and
not the last record it got.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from m0common.stream.records import Produce, Record
from m0common.topics import TOPICS

AT_END = -1
AT_BEGINNING = -2

APPEND_TIME = frozenset(topic.name for topic in TOPICS if topic.append_time)
"""Topics of the catalogue whose records must bear the broker's append time."""


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Written(NamedTuple):
    """Where the messages of one send are in one partition: from `first` up to but not including `end`.

    Other writers' messages may stand between them.
    """

    first: int
    end: int


class Heard(NamedTuple):
    """What the brokers' last answer about a partition said, whether it held records or not.

    `answer` is another number with every answer; `end` is up to where the partition could be read then.
    """

    answer: int
    end: int


OnAssigned = Callable[[frozenset[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]
"""Called with newly assigned partitions before anything of them is delivered; returns where to start reading each, as
for `assign` (a partition left out starts at the group's committed offset, else at the beginning)."""
OnRevoked = Callable[[frozenset[TopicPartition]], Awaitable[None]]
"""Called with partitions that are taken away, while they may still be committed."""


class Consumer(Protocol):
    """Reads partitions in order. A consumer without a group reads what `assign` names."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def subscribe(self, topics: Sequence[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """Join the group for `topics`."""
        ...

    async def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read these partitions from these offsets, outside any group.

        AT_END is the end of what can be read at the call, AT_BEGINNING the beginning, wherever that is when the first
        record comes (a trim may move it meanwhile).
        """
        ...

    async def getmany(self, max_records: int, timeout_ms: int) -> list[Record]:
        """Up to `max_records` in offset order per partition; an empty list after `timeout_ms` without any.

        Raises OffsetsGone when a partition does not hold its reader's next offset: no position is ever moved over
        something unread. Between two raises the other partitions are delivered; once it is paused it is not reported
        any more. Raises SettingsError when a topic that must bear append times does not.
        """
        ...

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record of a partition being read, after whatever is passed over (aborted records,
        markers of transactions). It reaches `end_offsets` when everything has been delivered. KeyError for others.
        """
        ...

    def reading(self) -> frozenset[TopicPartition]:
        """The partitions that brokers are asked about: not those that are paused, none while a rebalance goes on."""
        ...

    def heard(self, partition: TopicPartition) -> Heard | None:
        """The brokers' last answer about a partition being read, None before the first; a paused one is not asked for.

        While brokers answer it changes within a second, also when there is nothing new.
        """
        ...

    def contested(self) -> str | None:
        """That another process has this member's static name and takes its place, as far as can be told."""
        ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on reading a partition at another offset; a pause stays. KeyError for one that is not being read."""
        ...

    def pause(self, partitions: frozenset[TopicPartition]) -> None: ...

    def resume(self, partitions: frozenset[TopicPartition]) -> None: ...

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Commit the *next* offset to read of each partition; dropped for partitions that were taken away meanwhile."""
        ...

    async def begin_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]: ...

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset up to which each partition can be read now: the end, or the start of an open transaction."""
        ...


class Producer(Protocol):
    """Writes in order; an acknowledged message survives kill -9 of anything."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, messages: Sequence[Produce]) -> dict[TopicPartition, Written]:
        """Write `messages`, batched per partition, in order; returns where, when every one is acknowledged.

        Raises MessageTooLarge (naming topic, size and limit; nothing is written then, unless the limit has just been
        lowered), or Unavailable, after which the caller sends the same messages again: duplicates are harmless, holes
        are not.
        """
        ...


class Transactions(Protocol):
    """Writes whole transactions under a name. Of all that have the name, only the one that started last may write."""

    async def start(self) -> None:
        """Become the writer of this name: from now on all before it are refused. What one of them had begun is
        aborted, what it had committed can be read when this returns. Raises Unavailable.
        """
        ...

    async def stop(self) -> None: ...

    async def send(self, messages: Sequence[Produce]) -> None:
        """Write `messages` in one transaction, in order per partition; returns when it is committed.

        Raises Fenced when another has started since, MessageTooLarge as Producer does, both having written nothing.
        After Unavailable the transaction is whole or nothing: `start` again, and the log says which.
        """
        ...


class Broker(Protocol):
    """Makes consumers and producers. Topics are made by `m0 topics`: no service may."""

    def consumer(
        self, *, group: str | None = None, member: str | None = None, allow_create_time: bool = False
    ) -> Consumer:
        """`member` is a static member name (Kafka's group.instance.id): a quick restart rejoins.

        With `allow_create_time` topics that must bear append times may bear their writer's: a mirror or an import,
        which kept the original times.
        """
        ...

    def producer(self) -> Producer: ...

    def transactions(self, name: str) -> Transactions:
        """A transactional producer, `name` being its transactional id."""
        ...

    async def delete_before(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Delete what is older than these offsets, at most up to the present end; what is gone already is no error.

        Raises SettingsError for a compacted topic: it has no prefix.
        """
        ...

    async def cluster(self) -> str:
        """The id of the cluster, which tells offsets of this log from those of any other. Raises Unavailable."""
        ...

    async def watermarks(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition, committed or not. A reader comes to it when every
        transaction that is open below it has ended.
        """
        ...

    async def partitions(self, topic: str) -> int:
        """How many partitions `topic` has; Unavailable when the topic does not exist."""
        ...

    async def close(self) -> None: ...
