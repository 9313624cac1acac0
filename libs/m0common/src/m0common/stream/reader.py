"""Reading a topic from some offset to its present end, outside any group."""

from collections.abc import AsyncGenerator, Iterable, Mapping

from m0common.stream.broker import AT_BEGINNING, Broker, TopicPartition
from m0common.stream.records import Record

READ_RECORDS = 1000
POLL_MS = 500


async def read_to_end(
    broker: Broker,
    topic: str,
    partitions: Iterable[int] | None = None,
    starts: Mapping[int, int] | None = None,
    until: Mapping[int, int] | None = None,
    *,
    allow_create_time: bool = False,
) -> AsyncGenerator[list[Record], None]:
    """Batches of records up to the end the topic had at the call, in offset order per partition.

    `partitions` defaults to all of them, `starts` (partition to offset) to the beginning; `until` (partition to offset)
    ends a partition earlier. The end is that of what is committed, so a transaction that stays open holds nobody up.
    Raises Unavailable, OffsetsGone when a start is gone.
    """
    numbers = range(await broker.partitions(topic)) if partitions is None else sorted(set(partitions))
    where = [TopicPartition(topic, number) for number in numbers]
    consumer = broker.consumer(allow_create_time=allow_create_time)
    await consumer.start()
    try:
        begins = await consumer.begin_offsets(where)
        ends = await consumer.end_offsets(where)
        ends = {place: min(end, (until or {}).get(place.partition, end)) for place, end in ends.items()}
        first = {place: (starts or {}).get(place.partition, AT_BEGINNING) for place in where}
        unread = {place for place in where if ends[place] != (begins if first[place] == AT_BEGINNING else first)[place]}
        await consumer.assign({place: first[place] for place in sorted(unread)})
        while unread:
            records = [
                record
                for record in await consumer.getmany(READ_RECORDS, POLL_MS)
                if record.offset < ends[TopicPartition(record.topic, record.partition)]
            ]
            done = frozenset(place for place in unread if consumer.position(place) >= ends[place])
            consumer.pause(done)
            unread -= done
            if records:
                yield records
    finally:
        await consumer.stop()
