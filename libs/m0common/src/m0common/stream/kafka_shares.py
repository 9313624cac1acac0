"""Messages as aiokafka's batches, in order per partition, each within its topic's limit.

In a compacted topic an empty value is Kafka's null: compaction takes the key away.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from m0common.errors import MessageTooLarge
from m0common.messages.raw import RAW_MAX_BYTES
from m0common.stream.broker import TopicPartition
from m0common.stream.partition import BATCH_OVERHEAD_BYTES, wire_bytes
from m0common.stream.records import Produce
from m0common.topics import Topic

BATCH_BYTES = 512 * 1024
"""Batches are split here, well below every topic's limit of the catalogue."""
SURELY_SMALL_BYTES = 4096
"""Below this key and value need no exact measuring, on topics with a limit above BATCH_BYTES."""
NO_HEADERS: list[tuple[str, bytes]] = []


class Flight(NamedTuple):
    """A batch of so many messages, handed to aiokafka."""

    where: TopicPartition
    messages: int
    delivery: asyncio.Future[Any]


class Share:
    """The batches of one partition in one send. The last one is open."""

    def __init__(self, where: TopicPartition, limit: int, create: Callable[[], Any], *, compacted: bool) -> None:
        self.topic, self.partition = self.where = where
        self.compacted = compacted
        self.exact = limit < BATCH_BYTES
        """The topic takes less than aiokafka puts into a batch: measure every message."""
        self.batches: list[Any] = []
        self.append: Any = None
        """Of the open batch: takes the place in it, a time, key, value and headers; None when that would not fit."""
        self.count = 0
        """Of messages in the open batch."""
        self._limit = limit
        self._create = create
        self._used = 0
        self.next_batch()

    def next_batch(self) -> None:
        """Go on with an empty batch."""
        self.settle()
        batch = self._create()
        self.batches.append(batch)
        # aiokafka's own way to it costs as much again
        self.append = batch._builder.append  # noqa: SLF001
        self.count, self._used = 0, BATCH_OVERHEAD_BYTES

    def settle(self) -> None:
        """Tell the open batch how much it holds: it is ready to be sent."""
        if self.batches:
            self.batches[-1]._relative_offset = self.count  # noqa: SLF001 - as its own `append` does

    def make_room(self, message: Produce) -> None:
        """Open a new batch when `message` would not fit. Raises MessageTooLarge when it fits none."""
        size = wire_bytes(message)
        if size > self._limit:
            raise MessageTooLarge(f"message of {size} bytes for {self.topic}: the topic's limit is {self._limit}")
        if self.exact and self._used + size > self._limit and self.count:
            self.next_batch()
        self._used += size


def shared_out(
    messages: Sequence[Produce], catalogue: Mapping[str, Topic], create: Callable[[], Any]
) -> Sequence[Share]:
    """The messages by partition, in batches that `create` makes. Raises MessageTooLarge when one fits none.

    A topic that is not in the catalogue takes the usual limit.
    """
    shares: dict[tuple[str, int], Share] = {}  # looked up by plain tuples, which TopicPartition equals
    share = None
    for message in messages:
        topic, value, headers = message.topic, message.value, message.headers
        if share is None or message.partition != share.partition or topic != share.topic:
            share = shares.get((topic, message.partition))
            if share is None:
                known = catalogue.get(topic)
                limit = RAW_MAX_BYTES if known is None else known.max_message_bytes
                where = TopicPartition(topic, message.partition)
                share = shares[where] = Share(where, limit, create, compacted=known is not None and known.compacted)
        key = message.key
        if share.exact or headers or len(value) > SURELY_SMALL_BYTES or (key and len(key) > SURELY_SMALL_BYTES):
            share.make_room(message)
        said = None if share.compacted and not value else value
        listed = list(headers) if headers else NO_HEADERS
        if share.append(share.count, None, key, said, listed) is None:
            share.next_batch()
            share.append(0, None, key, said, listed)
        share.count += 1
    for share in shares.values():
        share.settle()
    return list(shares.values())


async def handed_over(shares: Sequence[Share], inner: Any) -> AsyncIterator[Flight]:
    """Hand every batch to `inner`, a producer of aiokafka (untyped, hence Any), which sends them in this order.

    Raises AssertionError, aiokafka's word for a partition that is not there; see `absent`.
    """
    for share in shares:
        for batch in share.batches:
            batch.close()
            delivery = await inner.send_batch(batch, share.topic, partition=share.partition)
            yield Flight(share.where, batch.record_count(), delivery)


def absent(shares: Sequence[Share]) -> str:
    """What to say when aiokafka knows one of the partitions not."""
    return f"one of the partitions {sorted(share.where for share in shares)} does not exist: create the topics first"
