"""Where numbering is written down: a compacted topic of this service, beside the log it describes (ADR 10)."""

import asyncio

import msgspec
from m0common.errors import Unavailable
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.records import Produce
from m0common.telemetry.logs import logger
from m0common.topics import REALTIME_ANCHORS as ANCHORS

from m0_realtime import limits
from m0_realtime.numbering import Anchor

_log = logger(__name__)
_WHERE = TopicPartition(ANCHORS.name, 0)
_decoder = msgspec.msgpack.Decoder(Anchor)


async def read(broker: Broker) -> dict[TopicPartition, Anchor]:
    """The newest anchor of each partition; creates the topic when it is missing. Raises Unavailable."""
    await broker.create_topics([ANCHORS], 1, 1)
    consumer = broker.consumer()
    await consumer.start()
    try:
        end = (await consumer.end_offsets([_WHERE]))[_WHERE]
        at = (await consumer.begin_offsets([_WHERE]))[_WHERE]
        await consumer.assign({_WHERE: at})
        found: dict[TopicPartition, Anchor] = {}
        silent = 0
        while at < end and silent < 3:  # compaction may have removed the very last offset
            records = await consumer.getmany(limits.BATCH_RECORDS, limits.POLL_MS)
            silent = 0 if records else silent + 1
            for record in records:
                at = record.offset + 1
                try:
                    anchor = _decoder.decode(record.value)
                except msgspec.DecodeError as error:
                    _log.warning("anchor_unreadable", offset=record.offset, error=str(error))
                else:
                    found[TopicPartition(anchor.topic, anchor.partition)] = anchor
        return found
    finally:
        await consumer.stop()


async def write(broker: Broker, anchors: list[Anchor]) -> None:
    """Write anchors; gives up quietly when the broker is away, the next time will do."""
    producer = broker.producer()
    try:
        async with asyncio.timeout(2.0):
            await producer.start()
            messages = [
                Produce(ANCHORS.name, 0, f"{a.topic}:{a.partition}".encode(), msgspec.msgpack.encode(a))
                for a in anchors
            ]
            await producer.send(messages)
    except (Unavailable, TimeoutError) as error:
        _log.warning("anchors_not_written", error=str(error))
    finally:
        await producer.stop()
