"""Lane state as entities: a map from bounded keys to bounded bytes, its digest, and what a checkpoint must say of it.

The bytes are the state; whatever else a stage keeps is made from them. A change costs what it touches: the digest is
the root of a trie, and a checkpoint says what changed plus one of K shares of the rest in turn.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

from m0common.canonical import Trie
from m0common.canonical.trie import leaf_of
from m0common.errors import InvalidValue

SHARES = 64
"""K: within so many checkpoints everything has been said again."""

_LENGTH = struct.Struct("<H")
_sha256 = hashlib.sha256


class Entry(NamedTuple):
    """One entity of a checkpoint; no value: it is deleted."""

    key: bytes
    value: bytes | None


def entity_key(tag: int, *parts: str | bytes) -> bytes:
    """`tag u8 | parts, each with a u16 length`."""
    raw = [key_part(part.encode() if isinstance(part, str) else part) for part in parts]
    return bytes((tag,)) + b"".join(raw)


def key_part(raw: bytes) -> bytes:
    """A part of a key with its u16 length."""
    return _LENGTH.pack(len(raw)) + raw


def key_parts(key: bytes) -> tuple[bytes, ...]:
    """The parts of a key behind its tag. Raises InvalidValue for what is no key."""
    parts, at = [], 1
    while at + _LENGTH.size <= len(key):
        (length,) = _LENGTH.unpack_from(key, at)
        at += _LENGTH.size + length
        parts.append(key[at - length : at])
    if at != len(key):
        raise InvalidValue(f"{key[:64]!r} is no key of an entity: its parts do not end where it does")
    return tuple(parts)


class Entities:
    """The state of one lane in one stage. `trie` is that of `entries`, where somebody has made it already."""

    def __init__(
        self, entries: Iterable[tuple[bytes, bytes]] = (), shares: int = SHARES, trie: Trie | None = None
    ) -> None:
        self._shares: list[dict[bytes, bytes]] = [{} for _ in range(shares)]
        self._trie = Trie() if trie is None else trie.copy()
        self._hashless: set[bytes] = set()
        """Keys whose change the trie has not seen."""
        self._unsaid: set[bytes] = set()
        """Keys whose change no checkpoint has said."""
        self._turn = 0
        self.count = 0
        self.bytes = 0
        for key, value in entries:
            self.put(key, value)
        self._unsaid.clear()
        if trie is not None:
            self._hashless.clear()

    def _share(self, key: bytes) -> dict[bytes, bytes]:
        return self._shares[crc32(key) % len(self._shares)]

    def get(self, key: bytes) -> bytes | None:
        """One entity's bytes, None when there is none."""
        return self._share(key).get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set an entity; setting it to what it is changes nothing."""
        share = self._share(key)
        before = share.get(key)
        if before == value:
            return
        if before is None:
            self.count += 1
            self.bytes += len(key) + len(value)
        else:
            self.bytes += len(value) - len(before)
        share[key] = value
        self._hashless.add(key)
        self._unsaid.add(key)

    def drop(self, key: bytes) -> None:
        """Remove an entity; removing one that is not there changes nothing."""
        before = self._share(key).pop(key, None)
        if before is None:
            return
        self.count -= 1
        self.bytes -= len(key) + len(before)
        self._hashless.add(key)
        self._unsaid.add(key)

    def each(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Entities whose key begins with `prefix`, ascending. Reads all of them."""
        return sorted((k, v) for share in self._shares for k, v in share.items() if k.startswith(prefix))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entities, in no order that means anything."""
        for share in self._shares:
            yield from share.items()

    def digest(self) -> bytes:
        """The state digest of docs/protocol.md, a function of the set alone."""
        for key in self._hashless:
            key_hash = _sha256(key).digest()
            value = self.get(key)
            if value is None:
                self._trie.drop(key_hash)
            else:
                self._trie.put(key_hash, leaf_of(key_hash, value))
        self._hashless.clear()
        return self._trie.root

    def unsaid(self, *, whole: bool) -> list[Entry]:
        """What a checkpoint must say now, ascending: all, or what changed since the last one and the share whose turn
        it is.
        """
        if whole:
            said = dict(self.items())
        else:
            said = dict(self._shares[self._turn])
            self._turn = (self._turn + 1) % len(self._shares)
        entries: dict[bytes, bytes | None] = {**said, **{key: self.get(key) for key in self._unsaid}}
        self._unsaid.clear()
        return [Entry(key, entries[key]) for key in sorted(entries)]
