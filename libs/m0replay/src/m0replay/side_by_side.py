"""Reading lanes of `m0.raw` side by side: none ahead of the others by an epoch, none further than it is needed."""

from collections import deque
from collections.abc import AsyncGenerator, Mapping

from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.records import Record
from m0common.topics import RAW

BATCH = 100
POLL_MS = 500
NONE_YET = -1
FOR_EVER = 1 << 63


async def side_by_side(
    broker: Broker, starts: Mapping[int, int], passed: Mapping[int, int], needed: Mapping[int, int]
) -> AsyncGenerator[Record, None]:
    """Records of these partitions from their starts, each in order; always of a lane that is furthest behind.

    `passed` says by partition the newest epoch whose marker was read, and is looked at again after every record;
    reading of a partition ends at its present end, or when it has passed the epoch in `needed`.
    Raises Unavailable, OffsetsGone.
    """
    consumer = broker.consumer(allow_create_time=True)
    await consumer.start()

    def at(where: TopicPartition) -> int:
        return passed.get(where.partition, NONE_YET)

    def is_over(where: TopicPartition) -> bool:
        return at(where) >= needed.get(where.partition, FOR_EVER)

    try:
        ends = await consumer.end_offsets([TopicPartition(RAW.name, partition) for partition in sorted(starts)])
        unread = {where for where, end in ends.items() if starts[where.partition] < end and not is_over(where)}
        waiting: dict[TopicPartition, deque[Record]] = {where: deque() for where in unread}
        await consumer.assign({where: starts[where.partition] for where in sorted(unread)})
        while unread:
            where = min(unread, key=lambda each: (at(each), each))
            if waiting[where]:
                yield waiting[where].popleft()
            elif consumer.position(where) < ends[where]:
                consumer.pause(frozenset(unread - {where}))
                consumer.resume(frozenset([where]))
                for record in await consumer.getmany(BATCH, POLL_MS):
                    place = TopicPartition(record.topic, record.partition)
                    if record.offset < ends[place]:
                        waiting[place].append(record)
            else:
                unread.discard(where)
            unread = {each for each in unread if not is_over(each)}
    finally:
        await consumer.stop()
