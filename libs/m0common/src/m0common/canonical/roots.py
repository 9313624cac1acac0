"""Digests of what a lane read and of the state it is in."""

import hashlib
import struct
from collections.abc import Mapping

ZERO = bytes(32)
_INPUT_TAG = b"M0INPUT1"
_STATE_TAG = b"M0STATE2"

_sha256 = hashlib.sha256


class LaneDigest:
    """Fold over the events but markers that a lane applied since its last marker.

    d = sha256(d | event_id), from zero bytes.
    """

    def __init__(self, value: bytes = ZERO) -> None:
        self.value = value

    def add(self, event_id: bytes) -> None:
        """Fold in one 32-byte event id."""
        self.value = _sha256(self.value + event_id).digest()


def input_root(digests: Mapping[int, bytes]) -> bytes:
    """Root over the lane digests of an epoch, by partition."""
    parts = [_INPUT_TAG, struct.pack("<I", len(digests))]
    parts += [struct.pack("<I", partition) + digests[partition] for partition in sorted(digests)]
    return hashlib.sha256(b"".join(parts)).digest()


def state_root(digests: Mapping[tuple[int, int], bytes]) -> bytes:
    """Root over the state digests of an epoch, by `(partition, stage)`."""
    parts = [_STATE_TAG, struct.pack("<I", len(digests))]
    parts += [struct.pack("<IB", *key) + digests[key] for key in sorted(digests)]
    return hashlib.sha256(b"".join(parts)).digest()
