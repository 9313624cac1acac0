"""The cost of a codec alone, which the stages' costs are shown beside."""

import time
from collections.abc import Callable, Sequence

import msgspec
from m0common.stream.records import Record

Decoder = Callable[[str], Callable[[bytes], object]]
"""How the values of a topic are decoded."""


def bare(read: Sequence[Record], said: Sequence[Record], decoder: Decoder) -> float:
    """CPU seconds of decoding what a stage reads and encoding what it says."""
    encode = msgspec.msgpack.Encoder().encode
    messages = [decoder(record.topic)(record.value) for record in said]
    values = [(decoder(record.topic), record.value) for record in read]
    since = time.process_time()
    for decode, value in values:
        decode(value)
    for message in messages:
        encode(message)
    return time.process_time() - since
