"""Pieces: stretches of one partition as files that are named by the sha256 of their bytes.

A piece is `M0PIECE1` and a zstd frame of MessagePack: topic, partition, first offset, the offset behind the last, and
the records between, each an array of offset, time (UTC milliseconds), key, value and headers. The name is that of the
bytes as they lie in the storage, so whoever has the file checks it with `sha256sum`, and nothing is unpacked that was
not written by an archive.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import cramjam
import msgspec
from m0common.messages import encode
from m0common.messages.codec import UNDECODABLE
from m0common.stream.broker import TopicPartition
from m0common.stream.kafka_codecs import UnpackError, unpack
from m0common.stream.records import Record
from m0common.telemetry.context import Headers

from m0archive import addressed
from m0archive.errors import Damaged
from m0archive.store import Store

FOLDER = "pieces"
MAGIC = b"M0PIECE1"
PIECE_BYTES = 4 << 20
"""A piece ends behind the record with which it has so many bytes before they are compressed."""
UNPACKED_MAX_BYTES = 16 << 20
"""More than a piece of PIECE_BYTES and the largest record of any topic can have."""
RECORD_BYTES = 32
"""What a record costs beside its key, value and headers, roughly."""
_ZSTD = 4
"""As Kafka numbers it."""
_LEVEL = 3


class _Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    offset: int
    append_ms: int
    key: bytes | None
    value: bytes
    headers: Headers


class _Stretch(msgspec.Struct, frozen=True, array_like=True):
    topic: str
    partition: int
    first: int
    end: int
    rows: tuple[_Row, ...]


_decode = msgspec.msgpack.Decoder(_Stretch).decode


class Sealed(NamedTuple):
    """A piece that is ready to be written; `end` is the offset behind the last that it stands for.

    Offsets from `first` on that have no record were aborted, compacted, or are marks of transactions.
    """

    where: TopicPartition
    first: int
    end: int
    records: int
    newest_ms: int
    sha256: str
    value: bytes


def seal(where: TopicPartition, first: int, end: int, records: Sequence[Record]) -> Sealed:
    """The piece of these records of one partition. The same records make the same piece."""
    rows = tuple(_Row(r.offset, r.append_ms, r.key, r.value, r.headers) for r in records)
    packed = encode(_Stretch(where.topic, where.partition, first, end, rows))
    value = MAGIC + bytes(cramjam.zstd.compress(packed, level=_LEVEL))
    newest_ms = max((record.append_ms for record in records), default=0)
    return Sealed(where, first, end, len(rows), newest_ms, hashlib.sha256(value).hexdigest(), value)


def size_of(record: Record) -> int:
    """About how many bytes a record takes in a piece, before it is compressed."""
    traced = sum(len(name) + len(value) for name, value in record.headers)
    return len(record.value) + len(record.key or b"") + traced + RECORD_BYTES


def name_of(sha256: str) -> str:
    """The object that holds a piece."""
    return f"{FOLDER}/{sha256[:2]}/{sha256}"


async def write(store: Store, sha256: str, value: bytes) -> None:
    """Keep a piece. Raises Unavailable."""
    await addressed.keep(store, name_of(sha256), value)


async def read(store: Store, sha256: str) -> bytes:
    """The bytes of a piece. Raises Damaged when it is missing or has another hash, Unavailable."""
    name = name_of(sha256)
    value = await store.get(name)
    if value is None:
        raise Damaged(name, "the piece is missing")
    found = hashlib.sha256(value).hexdigest()
    if found != sha256:
        raise Damaged(name, f"the piece was changed: its bytes have sha256 {found}")
    return value


def unseal(sha256: str, value: bytes) -> tuple[TopicPartition, int, int, list[Record]]:
    """Partition, first offset, end and records of a piece. Raises Damaged for what no archive wrote."""
    if not value.startswith(MAGIC):
        raise Damaged(name_of(sha256), f"it is no piece: it does not begin with {MAGIC.decode()}")
    try:
        made = _decode(unpack(_ZSTD, value[len(MAGIC) :], UNPACKED_MAX_BYTES))
    except (UnpackError, *UNDECODABLE) as error:
        raise Damaged(name_of(sha256), f"it is no piece: {error}") from error
    offsets = [row.offset for row in made.rows]
    if offsets != sorted(set(offsets)) or not all(made.first <= offset < made.end for offset in offsets):
        raise Damaged(name_of(sha256), f"its records are not ascending from {made.first} to {made.end}")
    where = TopicPartition(made.topic, made.partition)
    records = [Record(*where, row.offset, row.key, row.value, row.headers, row.append_ms) for row in made.rows]
    return where, made.first, made.end, records
