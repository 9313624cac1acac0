"""Merkle trees in the shape of RFC 6962 section 2.1, with SHA-256 and its leaf and node prefixes."""

import hashlib
from collections.abc import Sequence

from m0common.errors import InvalidValue


def leaf_hash(leaf: bytes) -> bytes:
    """sha256(0x00 | leaf)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """sha256(0x01 | left | right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """All levels of the tree over `hashes` (leaf hashes, at least one), so that every path is a lookup.

    An odd node at the end of a level is carried up unhashed, which gives the same tree as splitting at
    the largest power of two below n (RFC 6962 section 2.1).
    """

    def __init__(self, hashes: Sequence[bytes]) -> None:
        if not hashes:
            raise InvalidValue("a Merkle tree over no leaves: an epoch without leaves has no bundle")
        self.levels: list[list[bytes]] = [list(hashes)]
        while len(level := self.levels[-1]) > 1:
            above = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            if len(level) & 1:
                above.append(level[-1])
            self.levels.append(above)

    @property
    def root(self) -> bytes:
        """The 32-byte root."""
        return self.levels[-1][0]

    def path(self, index: int) -> list[bytes]:
        """Siblings of leaf `index`, bottom up."""
        if not 0 <= index < len(self.levels[0]):
            raise InvalidValue(f"leaf index {index}: the tree has {len(self.levels[0])} leaves")
        siblings = []
        for level in self.levels[:-1]:
            beside = index ^ 1
            if beside < len(level):
                siblings.append(level[beside])
            index >>= 1
        return siblings


def root_from_path(hashed_leaf: bytes, index: int, count: int, siblings: Sequence[bytes]) -> bytes:
    """The root that `hashed_leaf` at `index` of `count` leaves leads to.

    Source: RFC 9162 section 2.1.3.2. Raises InvalidValue when the path has the wrong length.
    """
    if not 0 <= index < count:
        raise InvalidValue(f"leaf index {index}: the tree has {count} leaves")
    at, last, value = index, count - 1, hashed_leaf
    for sibling in siblings:
        if last == 0:
            raise InvalidValue(f"path of {len(siblings)} hashes: too long for {count} leaves")
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
        raise InvalidValue(f"path of {len(siblings)} hashes: too short for {count} leaves")
    return value
