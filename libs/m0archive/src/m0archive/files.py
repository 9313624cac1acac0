"""Files of a backup: `M0FILE01` and a zstd frame of their bytes, named by the sha256 of what lies in the storage."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import cramjam
import msgspec
from m0common.stream.kafka_codecs import UnpackError, unpack

from m0archive import addressed
from m0archive.errors import Damaged
from m0archive.store import Store

FOLDER = "files"
MAGIC = b"M0FILE01"
PART_BYTES = 4 << 20
"""A longer file is kept in parts of about this size before they are compressed."""
PART_MAX_BYTES = 64 << 20
"""What a part may be unpacked to: a row of a table is never divided."""
_ZSTD = 4
_LEVEL = 3


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a file; `bytes` is its size in the storage."""

    sha256: str
    bytes: int


def name_of(sha256: str) -> str:
    """The object that holds a part."""
    return f"{FOLDER}/{sha256[:2]}/{sha256}"


async def keep(store: Store, chunks: AsyncIterator[bytes]) -> list[Part]:
    """Keep a file, a part at a time. Raises Unavailable."""
    parts: list[Part] = []
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        if len(waiting) >= PART_BYTES:
            parts.append(await _keep(store, bytes(waiting)))
            waiting.clear()
    if waiting:
        parts.append(await _keep(store, bytes(waiting)))
    return parts


async def read(store: Store, part: Part) -> bytes:
    """The bytes of a part. Raises Damaged, Unavailable."""
    name = name_of(part.sha256)
    value = await store.get(name)
    if value is None:
        raise Damaged(name, "the file is missing")
    found = hashlib.sha256(value).hexdigest()
    if found != part.sha256 or len(value) != part.bytes:
        raise Damaged(name, f"the file was changed: its bytes have sha256 {found}")
    if not value.startswith(MAGIC):
        raise Damaged(name, f"it is no file of a backup: it does not begin with {MAGIC.decode()}")
    try:
        return await asyncio.to_thread(unpack, _ZSTD, value[len(MAGIC) :], PART_MAX_BYTES)
    except UnpackError as error:
        raise Damaged(name, f"it is no file of a backup: {error}") from error


async def _keep(store: Store, plain: bytes) -> Part:
    value = MAGIC + await asyncio.to_thread(lambda: bytes(cramjam.zstd.compress(plain, level=_LEVEL)))
    sha256 = hashlib.sha256(value).hexdigest()
    await addressed.keep(store, name_of(sha256), value)
    return Part(sha256, len(value))
