"""What is read from and written to a broker: plain values."""

from typing import NamedTuple

from m0common.telemetry.context import Headers


class Record(NamedTuple):
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


class Produce(NamedTuple):
    """One message to write to a topic partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Headers = ()
