"""Where the batches of one send are, from what Kafka acknowledged."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from m0common.stream.broker import TopicPartition, Written
from m0common.stream.kafka_bounds import Bounds

NOT_SAID = -1
"""The offset of a batch that the broker knows to be a repeat of a much older one."""


class Batch(NamedTuple):
    """An acknowledged batch of so many messages, the first of which is at offset `first` (or NOT_SAID)."""

    where: TopicPartition
    messages: int
    first: int


def ranges(batches: Sequence[Batch], bounds: Mapping[TopicPartition, Bounds]) -> dict[TopicPartition, Written]:
    """The range of each partition's batches, which are given in order.

    Where the broker did not say the place of the first or last batch, `bounds` (of these partitions at least, taken
    after the send) stand for it: the range then holds all messages, and others too.
    """
    written: dict[TopicPartition, Written] = {}
    for where, messages, first in batches:
        begin = bounds[where].begin if first == NOT_SAID else first
        end = bounds[where].end if first == NOT_SAID else first + messages
        written[where] = Written(written[where].first if where in written else begin, end)
    return written
