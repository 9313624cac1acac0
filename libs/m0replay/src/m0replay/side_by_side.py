"""Reading lanes of `m0.raw` side by side: none ahead of the others by an epoch, none further than it is needed."""

from collections import deque
from collections.abc import AsyncGenerator, Mapping

from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.records import Record
from m0common.topics import RAW

from m0replay.course import Course

BATCH = 100
POLL_MS = 500


async def side_by_side(broker: Broker, starts: Mapping[int, int], course: Course) -> AsyncGenerator[Record, None]:
    """Records of these partitions from their starts, each in order; always of a lane that is furthest behind.

    `course` is looked at again after every record; reading of a partition ends at its present end, or when its lane is
    over. Raises Unavailable, OffsetsGone.
    """
    consumer = broker.consumer(allow_create_time=True)
    await consumer.start()

    try:
        ends = await consumer.end_offsets([TopicPartition(RAW.name, partition) for partition in sorted(starts)])
        unread = {where for where, end in ends.items() if starts[where.partition] < end}
        waiting: dict[TopicPartition, deque[Record]] = {where: deque() for where in unread}
        await consumer.assign({where: starts[where.partition] for where in sorted(unread)})
        while unread:
            unread = {each for each in unread if not course.is_over(each.partition)}
            if not unread:
                return
            where = min(unread, key=lambda each: (course.at(each.partition), each))
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
    finally:
        await consumer.stop()
