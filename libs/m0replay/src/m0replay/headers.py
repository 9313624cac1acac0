"""The headers of a catalog's closed epochs, as `m0.headers` has them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from m0common.canonical import BundleHeader
from m0common.errors import InvalidValue
from m0common.messages import HeaderMessage
from m0common.messages.codec import UNDECODABLE
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.partition import partition_for
from m0common.stream.records import Record
from m0common.topics import HEADERS

from m0replay.seek import Reached, read_from, seek

_decode = msgspec.msgpack.Decoder(HeaderMessage).decode


def header_of(record: Record) -> HeaderMessage | None:
    """The header in a record; None for what is none, or whose canonical bytes are of another epoch."""
    try:
        message = _decode(record.value)
        header = BundleHeader.decode(message.header)
    except (*UNDECODABLE, InvalidValue):
        return None
    return message if (header.catalog, header.epoch_id) == (message.catalog, message.epoch_id) else None


async def header_before(broker: Broker, catalog: str, epoch_id: int) -> HeaderMessage | None:
    """The newest header before an epoch, None when the log has none. Raises Unavailable."""
    found = await seek(broker, await _where(broker, catalog), _reached(catalog, epoch_id))
    return None if found.before is None else header_of(found.before)


async def headers(broker: Broker, catalog: str, first: int, last: int) -> AsyncGenerator[HeaderMessage, None]:
    """Headers of epochs from `first` to `last`, ascending but for repeats. Raises Unavailable."""
    where = await _where(broker, catalog)
    found = await seek(broker, where, _reached(catalog, first))
    async with aclosing(read_from(broker, where, found.offset)) as records:
        async for record in records:
            message = header_of(record)
            if message is None or message.catalog != catalog or message.epoch_id < first:
                continue
            if message.epoch_id > last:
                return
            yield message


async def _where(broker: Broker, catalog: str) -> TopicPartition:
    return TopicPartition(HEADERS.name, partition_for(catalog.encode(), await broker.partitions(HEADERS.name)))


def _reached(catalog: str, epoch_id: int) -> Reached:
    def reached(record: Record) -> bool | None:
        message = header_of(record)
        return message.epoch_id >= epoch_id if message is not None and message.catalog == catalog else None

    return reached
