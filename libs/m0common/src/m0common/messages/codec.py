"""Encoding of messages, and what their decoders and checks raise."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from m0common.errors import DeadLetterError, InvalidValue

UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What a decoder raises for bytes or text that are none of its messages."""
_json_encoder = msgspec.json.Encoder()


encode: Final = msgspec.msgpack.Encoder().encode
"""The MessagePack bytes of any message but RawEvent."""


def encode_raw(event: msgspec.Struct) -> bytes:
    """The JSON bytes of a raw event."""
    return _json_encoder.encode(event)


def encode_json(value: object) -> bytes:
    """The JSON bytes of any value, keys of structs in the order of their fields."""
    return _json_encoder.encode(value)


@contextmanager
def checked(error: str) -> Iterator[None]:
    """Around the checks of a message: an InvalidValue of theirs is a DeadLetterError of class `error`."""
    try:
        yield
    except InvalidValue as problem:
        raise DeadLetterError(error, str(problem)) from problem
