"""Canonical bytes of entities: MessagePack of frozen structs, tuples, integers, text and bytes.

One encoder, no maps but those whose keys were sorted when they were made, no floats: the same state is the same bytes.
"""

from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}


pack: Final = msgspec.msgpack.Encoder().encode
"""The canonical bytes of a state."""


def unpack(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """The state in `data`. Raises msgspec.MsgspecError when it is not one of `kind`."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    value: T = decoder.decode(data)
    return value
