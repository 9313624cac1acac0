"""The state digest: root of a binary hash trie over the sha256 of entity keys, a pure function of the set.

leaf sha256(0x00 | key hash | sha256(value)), node sha256(0x01 | left | right), a subtree with one entity is that
entity's leaf, an empty side is 32 zero bytes, bits from the most significant of byte 0. The empty set is zero bytes.
A change costs about log2(n) hashes, and those it shares with other changes are made once for all of them: nothing is
hashed before `root` is asked for.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from m0common.canonical.roots import ZERO

_sha256 = hashlib.sha256
_LEAF, _NODE = b"\x00", b"\x01"
_LAST_BIT = 255


_Leaf = bytes
"""Key hash and leaf hash, 64 bytes: a subtree with one entity."""
_Node = tuple["_Subtree", "_Subtree", bytes]
"""Left, right and the hash: a subtree with two entities or more. Plain tuples: there are 1.4 for every entity."""
_Subtree: TypeAlias = "_Node | _Leaf | None"


def leaf_of(key_hash: bytes, value: bytes) -> bytes:
    """The leaf of one entity."""
    return _sha256(_LEAF + key_hash + _sha256(value).digest()).digest()


class Trie:
    """A set of leaves by key hash."""

    def __init__(self, top: _Subtree = None) -> None:
        self._top = top
        self._changes: dict[bytes, bytes | None] = {}
        """What the nodes do not have yet: leaf hashes by key hash, None for what goes."""

    def put(self, key_hash: bytes, leaf: bytes) -> None:
        """Set the leaf of a key."""
        self._changes[key_hash] = leaf

    def drop(self, key_hash: bytes) -> None:
        """Remove a key; removing one that is not there changes nothing."""
        self._changes[key_hash] = None

    @classmethod
    def of(cls, entities: Iterable[tuple[bytes, bytes]]) -> "Trie":
        """That of a whole state: `(entity key, value)` in any order."""
        trie = cls()
        for key, value in entities:
            key_hash = _sha256(key).digest()
            trie.put(key_hash, leaf_of(key_hash, value))
        return trie

    def copy(self) -> "Trie":
        """Another trie of the same set; what is hashed already is shared."""
        _ = self.root
        return Trie(self._top)

    @property
    def root(self) -> bytes:
        """The state digest."""
        if self._changes:
            found = sorted(self._changes.items())
            self._changes.clear()
            keys = [int.from_bytes(key_hash) for key_hash, _ in found]
            leaves = [None if leaf is None else key_hash + leaf for key_hash, leaf in found]
            self._top = _changed(self._top, keys, leaves, 0, len(keys), 0)
        return _hash(self._top)


def _hash(at: _Subtree) -> bytes:
    return ZERO if at is None else at[32:] if isinstance(at, bytes) else at[2]


def _parted(keys: Sequence[int], first: int, end: int, depth: int) -> int:
    """Where among `keys[first:end]`, which share `depth` bits, those begin whose next bit is set."""
    below = _LAST_BIT - depth
    return bisect_left(keys, (keys[first] >> below | 1) << below, first, end)


def _changed(
    at: _Subtree, keys: Sequence[int], leaves: Sequence[_Leaf | None], first: int, end: int, depth: int
) -> _Subtree:
    """The subtree with the changes `[first, end)`, one at least, ascending, all belonging into it."""
    if at is None or isinstance(at, bytes):
        return _grown(at, keys, leaves, first, end, depth)
    left, right, _ = at
    middle = _parted(keys, first, end, depth)
    if first < middle:
        left = _changed(left, keys, leaves, first, middle, depth + 1)
    if middle < end:
        right = _changed(right, keys, leaves, middle, end, depth + 1)
    # a lone leaf moves up; a node below an empty side stays
    if left is None and not isinstance(right, tuple):
        return right
    if right is None and not isinstance(left, tuple):
        return left
    return left, right, _sha256(_NODE + _hash(left) + _hash(right)).digest()


def _grown(
    leaf: _Leaf | None, keys: Sequence[int], leaves: Sequence[_Leaf | None], first: int, end: int, depth: int
) -> _Subtree:
    """What a leaf or an empty place becomes by the changes `[first, end)`, one at least."""
    if end - first == 1 and (leaf is None or int.from_bytes(leaf[:32]) == keys[first]):
        return leaves[first]
    there = {key: new for key, new in zip(keys[first:end], leaves[first:end], strict=True) if new is not None}
    if leaf is not None:
        key = int.from_bytes(leaf[:32])
        at = bisect_left(keys, key, first, end)
        if at == end or keys[at] != key:
            there[key] = leaf
    ascending = sorted(there.items())
    if not ascending:
        return None
    return _made([key for key, _ in ascending], [new for _, new in ascending], 0, len(ascending), depth)


def _made(keys: Sequence[int], leaves: Sequence[_Leaf], first: int, end: int, depth: int) -> _Node | _Leaf:
    """The subtree of the leaves `[first, end)`, one at least; at most 256 levels deep."""
    if end - first == 1:
        return leaves[first]
    middle = _parted(keys, first, end, depth)
    left = None if middle == first else _made(keys, leaves, first, middle, depth + 1)
    right = None if middle == end else _made(keys, leaves, middle, end, depth + 1)
    return left, right, _sha256(_NODE + _hash(left) + _hash(right)).digest()


def state_digest(entities: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The digest of a whole state: `(entity key, value)` in any order."""
    return Trie.of(entities).root
