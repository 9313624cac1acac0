"""What goes in and out of a stage core: plain values, no broker."""

from dataclasses import dataclass
from typing import NamedTuple

from m0common.messages import Checkpoint

Headers = tuple[tuple[str, bytes], ...]


class Record(NamedTuple):
    """One message as read from a topic partition."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Headers = ()
    timestamp_ms: int = 0


class Produce(NamedTuple):
    """One message to write to a topic partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Save:
    """A checkpoint to write once everything emitted before it has been acknowledged."""

    checkpoint: Checkpoint


Output = Produce | Save
