"""Dead letters (`m0.dlq.v1`)."""

import msgspec

from m0common.messages.types import Digest


class DeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """A message that could not be processed, with where it came from and why.

    `value` is cut to a few KiB; `value_bytes` and `value_hash` (sha256) are those of the whole.
    """

    topic: str
    partition: int
    offset: int
    stage: str
    error: str
    reason: str
    key: bytes | None
    value: bytes
    value_bytes: int
    value_hash: Digest
