"""Unpacking what a writer compressed, up to a limit: a few KB may stand for gigabytes."""

import contextlib
import gzip
import io
import struct
from collections.abc import Callable
from typing import Final

import cramjam

MAX_BYTES: Final = 16 << 20
"""Twice the largest message of any topic; no batch is unpacked beyond it."""
USUAL_RATIO: Final = 16
USUAL_BYTES: Final = 1 << 16
"""What is packed tighter than these say is unpacked twice."""
_XERIAL: Final = b"\x82SNAPPY\0"
_XERIAL_HEADER_BYTES: Final = 16


class UnpackError(ValueError):
    """Compressed bytes that are damaged or stand for more than MAX_BYTES."""


def unpack(codec: int, packed: bytes, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes that `packed` stands for; `codec` as Kafka numbers them (0: not compressed, taken as it is).

    Memory beyond about twice `max_bytes` is never taken. Raises UnpackError.
    """
    if codec == 0:
        return packed
    decode = _DECODERS.get(codec)
    if decode is None:
        raise UnpackError(f"compression codec {codec} is not known; known are {sorted(_DECODERS)}")
    try:
        return decode(packed, max_bytes)
    except (UnpackError, MemoryError):
        raise
    except Exception as error:  # whatever a decoder makes of hostile bytes
        raise UnpackError(
            f"codec {codec}: {len(packed)} bytes cannot be unpacked within {max_bytes}: {error}"
        ) from error


def _gzip(packed: bytes, max_bytes: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        found = file.read(max_bytes + 1)
    if len(found) > max_bytes:
        raise UnpackError(f"gzip stands for more than {max_bytes} bytes")
    return found


def _snappy(packed: bytes, max_bytes: int) -> bytes:
    """One block, or the framing of xerial's library, which Kafka's own clients write: blocks after their lengths."""
    if not packed.startswith(_XERIAL):
        return _snappy_block(packed, max_bytes)
    found = bytearray()
    at = _XERIAL_HEADER_BYTES
    while at < len(packed):
        (length,) = struct.unpack_from(">I", packed, at)
        at += 4
        found += _snappy_block(packed[at : at + length], max_bytes - len(found))
        at += length
    return bytes(found)


def _snappy_block(packed: bytes, max_bytes: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(packed) > max_bytes:
        raise UnpackError(f"a block of snappy has more than {max_bytes} bytes")
    return bytes(cramjam.snappy.decompress_raw(packed))


def _lz4(packed: bytes, max_bytes: int) -> bytes:
    return _into(cramjam.lz4.decompress_into, packed, max_bytes)


def _zstd(packed: bytes, max_bytes: int) -> bytes:
    return _into(cramjam.zstd.decompress_into, packed, max_bytes)


def _into(decode: Callable[[bytes, bytearray], int], packed: bytes, max_bytes: int) -> bytes:
    """Room for what is usual first: to clear all of `max_bytes` takes longer than to unpack."""
    usual = USUAL_RATIO * len(packed) + USUAL_BYTES
    if usual < max_bytes:
        with contextlib.suppress(cramjam.DecompressionError):
            return _within(decode, packed, usual)
    return _within(decode, packed, max_bytes)


def _within(decode: Callable[[bytes, bytearray], int], packed: bytes, room: int) -> bytes:
    found = bytearray(room)
    return bytes(memoryview(found)[: decode(packed, found)])


_DECODERS: Final[dict[int, Callable[[bytes, int], bytes]]] = {1: _gzip, 2: _snappy, 3: _lz4, 4: _zstd}
