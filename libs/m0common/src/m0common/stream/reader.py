"""Reading a topic from some offset to its present end, outside any group."""

from collections.abc import AsyncIterator, Iterable, Mapping

from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.records import Record

READ_RECORDS = 1000
POLL_MS = 500


async def read_to_end(
    broker: Broker,
    topic: str,
    partitions: Iterable[int] | None = None,
    starts: Mapping[int, int] | None = None,
) -> AsyncIterator[list[Record]]:
    """Batches of records up to the end the topic had at the call, in offset order per partition.

    `partitions` defaults to all of them, `starts` (partition to offset) to the beginning. Raises Unavailable.
    """
    numbers = range(await broker.partitions(topic)) if partitions is None else sorted(set(partitions))
    where = [TopicPartition(topic, number) for number in numbers]
    consumer = broker.consumer()
    await consumer.start()
    try:
        begins = await consumer.begin_offsets(where)
        ends = await consumer.end_offsets(where)
        first = {place: max(begins[place], (starts or {}).get(place.partition, 0)) for place in where}
        unread = {place for place in where if first[place] < ends[place]}
        await consumer.assign({place: first[place] for place in sorted(unread)})
        while unread:
            records = []
            for record in await consumer.getmany(READ_RECORDS, POLL_MS):
                place = TopicPartition(record.topic, record.partition)
                if record.offset < ends[place]:
                    records.append(record)
                # the last record of a log is never compacted away: it is the newest of its key
                if record.offset + 1 >= ends[place]:
                    unread.discard(place)
            if records:
                yield records
    finally:
        await consumer.stop()
