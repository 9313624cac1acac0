"""Encoding of messages."""

from typing import Final

import msgspec

_json_encoder = msgspec.json.Encoder()


encode: Final = msgspec.msgpack.Encoder().encode
"""The MessagePack bytes of any message but RawEvent."""


def encode_raw(event: msgspec.Struct) -> bytes:
    """The JSON bytes of a raw event."""
    return _json_encoder.encode(event)


def encode_json(value: object) -> bytes:
    """The JSON bytes of any value, keys of structs in the order of their fields."""
    return _json_encoder.encode(value)
