"""Where numbering is written down: a compacted topic of this service, beside the log it describes (ADR 10)."""

import asyncio
import contextlib

import msgspec
from m0common.errors import DeadLetterError, Unavailable
from m0common.messages.codec import checked
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.door import decoded
from m0common.stream.follow import read_to_end
from m0common.stream.records import Produce
from m0common.telemetry.logs import logger
from m0common.topics import REALTIME_ANCHORS as ANCHORS

from m0_realtime import names
from m0_realtime.numbering import Anchor

_log = logger(__name__)
_decoder = msgspec.msgpack.Decoder(Anchor)


async def read(broker: Broker) -> dict[TopicPartition, Anchor]:
    """The newest anchor of each partition. Raises Unavailable."""
    found: dict[TopicPartition, Anchor] = {}
    async with contextlib.aclosing(read_to_end(broker, ANCHORS.name)) as log:
        async for records in log:
            for record in records:
                try:
                    anchor = read_anchor(record.value)
                except DeadLetterError as error:
                    _log.warning("anchor_unreadable", offset=record.offset, error=error.reason)
                else:
                    found[TopicPartition(anchor.topic, anchor.partition)] = anchor
    return found


def read_anchor(value: bytes) -> Anchor:
    """An anchor whose channels exist. Raises DeadLetterError."""
    anchor = decoded(_decoder, value, "not_an_anchor")
    with checked("not_an_anchor"):
        for text in anchor.counts:
            names.parse(text)
    return anchor


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
