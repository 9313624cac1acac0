"""BundleHeader v1: the 250 bytes whose SHA-256 signers attest. Layout: docs/protocol.md."""

import hashlib
import struct
from dataclasses import dataclass

from m0client.errors import DecodeError

HEADER_BYTES = 250
_LAYOUT = struct.Struct("<8sH16sQqqII32s32s32s32s32s32s")


@dataclass(frozen=True, slots=True)
class Header:
    """A decoded header. Hashes are 32 bytes, times UTC milliseconds, the window is `[start, end)`."""

    catalog: str
    epoch_id: int
    window_start_ms: int
    window_end_ms: int
    signer_set_id: int
    leaf_count: int
    merkle_root: bytes
    prev_bundle_hash: bytes
    model_manifest_hash: bytes
    config_hash: bytes
    input_root: bytes
    state_root: bytes


def decode_header(data: bytes) -> Header:
    """The header in `data`; DecodeError unless it is a v1 header."""
    if len(data) != HEADER_BYTES:
        raise DecodeError(f"header of {len(data)} bytes: a v1 header has {HEADER_BYTES}")
    magic, schema, catalog, *rest = _LAYOUT.unpack(data)
    if magic != b"M0BUNDLE" or schema != 1:
        raise DecodeError(f"header starts with {magic!r}, schema {schema}: not a v1 header")
    name = catalog.rstrip(b"\0")
    if not name or not name.isascii() or b"\0" in name:
        raise DecodeError(f"catalog bytes {catalog.hex()} are not a zero-padded name")
    return Header(name.decode("ascii"), *rest)


def bundle_hash(header: bytes) -> bytes:
    """sha256 of the header: the content address of a bundle."""
    return hashlib.sha256(header).digest()
