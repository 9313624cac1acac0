"""Reading lanes of `m0.raw` side by side: none ahead of the others by an epoch, none further than it is needed."""

from collections import deque
from collections.abc import AsyncGenerator, Mapping

from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.follow import Follower
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
    async with Follower(broker, allow_create_time=True) as follower:
        places = {TopicPartition(RAW.name, partition): start for partition, start in sorted(starts.items())}
        await follower.open(places)
        await follower.go(places, follower.ends)
        waiting: dict[TopicPartition, deque[Record]] = {where: deque() for where in places}
        while True:
            unread = follower.unread
            left = [each for each in places if waiting[each] or each in unread]
            left = [each for each in left if not course.is_over(each.partition)]
            if not left:
                return
            where = min(left, key=lambda each: (course.at(each.partition), each))
            if waiting[where]:
                yield waiting[where].popleft()
            else:
                waiting[where].extend(await follower.next(BATCH, POLL_MS, only=[where]))
