"""Where partitions of Kafka begin and end, whatever transactions are open."""

from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer  # type: ignore[import-untyped]
from aiokafka import TopicPartition as KafkaPartition

from m0common.stream.broker import TopicPartition
from m0common.stream.kafka_call import call
from m0common.stream.kafka_connect import connect
from m0common.stream.kafka_options import KafkaOptions


class Bounds(NamedTuple):
    """The first offset present and the one after the last (the high watermark)."""

    begin: int
    end: int


async def bounds(options: KafkaOptions, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Bounds]:
    """Bounds of each partition, over a connection of its own. Raises Unavailable."""
    if not partitions:
        return {}
    wanted = [KafkaPartition(*where) for where in partitions]
    inner = AIOKafkaConsumer(**options.connection(), enable_auto_commit=False)
    try:
        await connect(options, inner.start())
        begins = await call("beginning_offsets", options.request_timeout_ms, inner.beginning_offsets(wanted))
        ends = await call("end_offsets", options.request_timeout_ms, inner.end_offsets(wanted))
    finally:
        await inner.stop()
    return {TopicPartition(*where): Bounds(begins[where], ends[where]) for where in wanted}
