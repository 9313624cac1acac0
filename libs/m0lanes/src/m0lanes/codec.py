"""Canonical bytes of lane entities: MessagePack of structs, tuples, integers, strings and bytes.

One encoder, no maps but those whose keys were sorted when they were made, no floats: the same state is the same bytes.
"""

from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}


def pack(state: object) -> bytes:
    """The canonical bytes of `state`."""
    return _encoder.encode(state)


def unpack(data: bytes | None, kind: type[T]) -> T:
    """The state in `data`; KeyError when the entity is missing."""
    if data is None:
        raise KeyError(f"an entity of type {kind} is missing from the checkpoint")
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    value: T = decoder.decode(data)
    return value
