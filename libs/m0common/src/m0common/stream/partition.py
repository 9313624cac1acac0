"""Partitions of keys, counts of topics and sizes of messages: the same answers for every broker."""

from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]

from m0common.errors import SettingsError
from m0common.stream.records import Produce
from m0common.topics import Topic

RECORD_OVERHEAD_BYTES = 21
"""The most that Kafka's record format adds to key, value and headers."""
BATCH_OVERHEAD_BYTES = 61
"""The header of a batch, which a single message also pays."""
HEADER_OVERHEAD_BYTES = 10
"""Two lengths per header."""


def partition_for(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner (murmur2, as in the Java client) gives `key`."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFFFFFF) % partitions


def wire_bytes(message: Produce) -> int:
    """An upper bound of the bytes of `message` as an uncompressed batch of its own, which is what topics limit."""
    size = BATCH_OVERHEAD_BYTES + RECORD_OVERHEAD_BYTES + len(message.key or b"") + len(message.value)
    for name, value in message.headers:
        size += HEADER_OVERHEAD_BYTES + len(name.encode()) + len(value)
    return size


def refuse_other_count(topic: Topic, found: int, partitions: int) -> None:
    """Raise SettingsError when an existing topic's count is not the one of a deployment of `partitions`."""
    wanted = topic.partitions(partitions)
    if found == wanted:
        return
    remedy = (
        f"set kafka.partitions = {found}, as it was when this deployment began: a deployment's count never changes"
        if topic.partitioned_by != "one"
        else "delete the topic, it is made again with one"
    )
    raise SettingsError(f"topic {topic.name} has {found} partitions and {wanted} are configured: {remedy}")
