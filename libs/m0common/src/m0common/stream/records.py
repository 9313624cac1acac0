"""What is read from and written to a broker: plain values.

There is one of each for every message, hence structs: a named tuple takes five times as long to make, and the garbage
collector looks at it.
"""

from msgspec import Struct

from m0common.telemetry.context import Headers


class Record(Struct, frozen=True, order=True, gc=False, array_like=True):
    """One message as read from a topic partition. Of its headers there is the trace alone (`telemetry.context`).

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


class Produce(Struct, frozen=True, order=True, gc=False, array_like=True):
    """One message to write to a topic partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Headers = ()
