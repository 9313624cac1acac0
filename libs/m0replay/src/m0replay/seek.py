"""Where something begins in a partition, found by halving it: reading grows with the logarithm of the log alone.

It serves records that come in an order of their own, epochs or sequence numbers. Repeats of a restarted writer go back
a little and run through the same numbers again, so reading on from a place found misses nothing behind it.
"""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import NamedTuple

from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.follow import Follower, bounds
from m0common.stream.records import Record
from m0common.topics import RAW

BATCH = 100
PROBE = 16
POLL_MS = 500
SPAN = 32
"""A range of so many offsets is read instead of being halved."""

Reached = Callable[[Record], bool | None]
"""Whether a record lies at or behind what is looked for; None for one that says nothing about it."""


class Found(NamedTuple):
    """`offset` is where to read from, `before` the last record in front of it that is not yet what is looked for."""

    offset: int
    before: Record | None


async def raw_begins(broker: Broker, partitions: Iterable[int]) -> dict[int, int]:
    """Where these partitions of `m0.raw` begin now. Raises Unavailable."""
    begins = (await bounds(broker, [TopicPartition(RAW.name, partition) for partition in partitions])).begins
    return {where.partition: at for where, at in begins.items()}


async def seek(broker: Broker, where: TopicPartition, reached: Reached) -> Found:
    """The first record that is `reached`, else the end of the partition. Raises Unavailable."""
    async with Follower(broker, allow_create_time=True) as follower:
        await follower.open([where])
        low, end = follower.begins[where], follower.ends[where]
        high = end
        before: Record | None = None
        while high - low > SPAN:
            middle = (low + high) // 2
            record = await _first(follower, where, middle, high, reached)
            if record is None or reached(record):
                high = middle
            else:
                low, before = record.offset + 1, record
        async with aclosing(_read(follower, where, low, end, PROBE)) as records:
            async for record in records:
                verdict = reached(record)
                if verdict:
                    return Found(record.offset, before)
                if verdict is False:
                    before = record
                low = record.offset + 1
        return Found(low, before)


async def read_from(broker: Broker, where: TopicPartition, offset: int) -> AsyncGenerator[Record, None]:
    """Records of one partition from an offset (AT_BEGINNING) to its present end, a few at a time.

    Raises Unavailable, OffsetsGone.
    """
    async with Follower(broker, allow_create_time=True) as follower:
        await follower.open([where])
        async with aclosing(_read(follower, where, offset, follower.ends[where], BATCH)) as records:
            async for record in records:
                yield record


async def _first(follower: Follower, where: TopicPartition, start: int, end: int, reached: Reached) -> Record | None:
    async with aclosing(_read(follower, where, start, end, PROBE)) as records:
        async for record in records:
            if reached(record) is not None:
                return record
    return None


async def _read(
    follower: Follower, where: TopicPartition, start: int, end: int, batch: int
) -> AsyncGenerator[Record, None]:
    await follower.go({where: start}, {where: end})
    while follower.unread:
        for record in await follower.next(batch, POLL_MS):
            yield record
