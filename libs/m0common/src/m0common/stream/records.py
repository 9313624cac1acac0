"""What is read from and written to a broker: plain values."""

from collections.abc import Iterable
from typing import NamedTuple

Headers = tuple[tuple[str, bytes], ...]
TRACEPARENT = "traceparent"
TRACEPARENT_MAX_BYTES = 128


def trace_of(headers: Iterable[tuple[str, bytes | None]]) -> Headers:
    """The trace that a message belongs to: of its headers the only one that anybody here reads, or passes on.

    Stages give what they say the headers of what they read, so nothing else that a writer put there may get in.
    """
    found = [value for name, value in headers if name == TRACEPARENT and value and len(value) <= TRACEPARENT_MAX_BYTES]
    return ((TRACEPARENT, found[-1]),) if found else ()


class Record(NamedTuple):
    """One message as read from a topic partition. Of its headers there is the trace alone, see `trace_of`.

    `append_ms` is when the broker appended it (UTC milliseconds), where the topic says so (`Topic.append_time`);
    elsewhere it is what its writer put there.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Headers = ()
    append_ms: int = 0


class Produce(NamedTuple):
    """One message to write to a topic partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Headers = ()
