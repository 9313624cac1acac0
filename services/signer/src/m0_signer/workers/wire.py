"""What the desk and a worker say to each other: MessagePack frames over the worker's standard input and output.

The desk says `StatePart` for every lane to go on with, then `Begin`, then `Feed` and `Save` as they come. The worker
answers in that order: what its lanes say, then `Done` for a `Feed`; its `StatePart`s, then `Saved` for a `Save`. It
ends when its input does.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import msgspec
from m0common.messages import Digest, Manifest
from m0common.stream.core import LaneReport, Load
from m0common.stream.records import Produce, Record

ENTRIES = 1000
"""So many entities of a lane are said at once."""
LENGTH = struct.Struct("<I")


class StatePart(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A part of a lane's entities in one stage; None is deleted. The manifest is over all of its parts."""

    manifest: Manifest
    entries: tuple[tuple[bytes, bytes | None], ...]


class Begin(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Compute the lanes of these catalogs, as this deployment has them; see Deployment."""

    genesis_hash: Digest
    control_key: Digest
    partitions: int
    only: tuple[str, ...]


class Feed(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Raw records, in the order of each partition."""

    records: list[Record]


class Save(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Hand over what has changed since the last time. The number comes back with the answer."""

    number: int


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The lanes have begun, with this build."""

    build: Digest


class Said(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What the last lane stage says to the bundle stage, in the order of each lane."""

    messages: list[Produce]


class Wanted(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A rebase was read: the lane, which is in `life`, would go on from the state that the load names."""

    load: Load
    life: int


class Parked(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The lanes that do not go on, of all stages, whenever they are others than before."""

    lanes: list[LaneReport]


class Done(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The oldest `Feed` that was not answered yet is done; so many of its records cost a dead letter."""

    letters: int


class Saved(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The `Save` of this number is answered."""

    number: int


ToWorker = StatePart | Begin | Feed | Save
FromWorker = Ready | Said | Wanted | Parked | Done | StatePart | Saved

_encode = msgspec.msgpack.Encoder().encode
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def frame(message: ToWorker | FromWorker) -> bytes:
    """A message with its length before it."""
    body = _encode(message)
    return LENGTH.pack(len(body)) + body


def decode_answer(body: bytes) -> FromWorker:
    """What a worker said, without its length."""
    return _from_worker.decode(body)


def asked(source: BinaryIO) -> Iterator[ToWorker]:
    """Everything that the desk says, until it closes. A message that it did not finish is none."""
    while len(head := source.read(LENGTH.size)) == LENGTH.size:
        (length,) = LENGTH.unpack(head)
        body = source.read(length)
        if len(body) < length:
            return
        yield _to_worker.decode(body)


def state_parts(manifest: Manifest, entities: Mapping[bytes, bytes | None]) -> Iterator[StatePart]:
    """A lane's entities in parts; one without any when there are none."""
    entries = tuple(entities.items())
    for first in range(0, len(entries) or 1, ENTRIES):
        yield StatePart(manifest, entries[first : first + ENTRIES])
