"""Encoding of messages."""

import msgspec

_encoder = msgspec.msgpack.Encoder()
_json_encoder = msgspec.json.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """The MessagePack bytes of any message but RawEvent."""
    return _encoder.encode(message)


def encode_raw(event: msgspec.Struct) -> bytes:
    """The JSON bytes of a raw event."""
    return _json_encoder.encode(event)


def encode_json(value: object) -> bytes:
    """The JSON bytes of any value, keys of structs in the order of their fields."""
    return _json_encoder.encode(value)
