"""Where something begins in a partition, found by halving it: reading grows with the logarithm of the log alone.

It serves records that come in an order of their own, epochs or sequence numbers. Repeats of a restarted writer go back
a little and run through the same numbers again, so reading on from a place found misses nothing behind it.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import NamedTuple

from m0common.stream.broker import Broker, Consumer, TopicPartition
from m0common.stream.records import Record

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


async def seek(broker: Broker, where: TopicPartition, reached: Reached) -> Found:
    """The first record that is `reached`, else the end of the partition. Raises Unavailable."""
    consumer = broker.consumer(allow_create_time=True)
    await consumer.start()
    try:
        low = (await consumer.begin_offsets([where]))[where]
        high = (await consumer.end_offsets([where]))[where]
        before: Record | None = None
        while high - low > SPAN:
            middle = (low + high) // 2
            record = await _first(consumer, where, middle, high, reached)
            if record is None or reached(record):
                high = middle
            else:
                low, before = record.offset + 1, record
        async with aclosing(_read(consumer, where, low, PROBE)) as records:
            async for record in records:
                verdict = reached(record)
                if verdict:
                    return Found(record.offset, before)
                if verdict is False:
                    before = record
                low = record.offset + 1
        return Found(low, before)
    finally:
        await consumer.stop()


async def read_from(broker: Broker, where: TopicPartition, offset: int) -> AsyncGenerator[Record, None]:
    """Records of one partition from an offset (AT_BEGINNING) to its present end, a few at a time.

    Raises Unavailable, OffsetsGone.
    """
    consumer = broker.consumer(allow_create_time=True)
    await consumer.start()
    try:
        async for record in _read(consumer, where, offset, BATCH):
            yield record
    finally:
        await consumer.stop()


async def _first(consumer: Consumer, where: TopicPartition, start: int, end: int, reached: Reached) -> Record | None:
    async with aclosing(_read(consumer, where, start, PROBE)) as records:
        async for record in records:
            if record.offset >= end:
                return None
            if reached(record) is not None:
                return record
    return None


async def _read(consumer: Consumer, where: TopicPartition, offset: int, batch: int) -> AsyncGenerator[Record, None]:
    end = (await consumer.end_offsets([where]))[where]
    if offset >= end:
        return
    await consumer.assign({where: offset})
    while True:
        for record in await consumer.getmany(batch, POLL_MS):
            if record.offset < end:
                yield record
        if consumer.position(where) >= end:
            return
