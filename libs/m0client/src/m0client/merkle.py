"""Merkle paths in the shape of RFC 6962 section 2.1 with SHA-256."""

import hashlib
from collections.abc import Sequence

from m0client.errors import DecodeError


def leaf_hash(leaf: bytes) -> bytes:
    """sha256(0x00 | leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """sha256(0x01 | left | right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_from_path(hashed_leaf: bytes, index: int, count: int, siblings: Sequence[bytes]) -> bytes:
    """The root that a leaf hash at `index` of `count` leaves leads to; siblings come bottom up.

    Which side a sibling stands on follows from index and count alone. Source: RFC 9162 section 2.1.3.2.
    Raises DecodeError when the path has the wrong length or the index is outside the tree.
    """
    if not 0 <= index < count:
        raise DecodeError(f"leaf index {index}: the tree has {count} leaves")
    at, last, value = index, count - 1, hashed_leaf
    for sibling in siblings:
        if last == 0:
            raise DecodeError(f"path of {len(siblings)} hashes is too long for {count} leaves")
        if at & 1 or at == last:
            value = node_hash(sibling, value)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            value = node_hash(value, sibling)
        at >>= 1
        last >>= 1
    if last:
        raise DecodeError(f"path of {len(siblings)} hashes is too short for {count} leaves")
    return value
