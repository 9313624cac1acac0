"""Reading topics for replay: whole partitions, or from an offset until something is found."""

from collections.abc import AsyncIterator, Mapping

from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.records import Record

BATCH = 2000
POLL_MS = 500


async def read(broker: Broker, topic: str, starts: Mapping[int, int] | None = None) -> AsyncIterator[Record]:
    """Records of every partition of `topic` up to the ends found at the start, from `starts` or the beginning."""
    places = [TopicPartition(topic, p) for p in range(await broker.partitions(topic))]
    consumer = broker.consumer()
    await consumer.start()
    try:
        first = await consumer.begin_offsets(places)
        ends = await consumer.end_offsets(places)
        positions = {tp: max(first[tp], (starts or {}).get(tp.partition, 0)) for tp in places}
        open_places = {tp for tp in places if positions[tp] < ends[tp]}
        if not open_places:
            return
        await consumer.assign({tp: positions[tp] for tp in open_places})
        while open_places:
            batch = await consumer.getmany(BATCH, POLL_MS)
            for record in batch:
                place = TopicPartition(record.topic, record.partition)
                if record.offset < ends[place]:
                    yield record
                if record.offset >= ends[place] - 1:
                    open_places.discard(place)
            if not batch:
                # compaction may have removed the last records before the end
                break
    finally:
        await consumer.stop()
