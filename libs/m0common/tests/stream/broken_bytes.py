"""Messages that a decoder gives up on with errors of Python instead of its own: broken UTF-8, and nesting too deep."""

import msgspec

_DEEP = b"\x91" * 200_000


def not_utf8(value: bytes, text: str) -> bytes:
    """The message with a text of it that ends in bytes which are no UTF-8."""
    whole = text.encode()
    assert whole in value
    return value.replace(whole, whole[:-2] + b"\xff\xfe")


def nested_behind(value: bytes, _text: str) -> bytes:
    """The message with one more field, which a decoder passes over, nested deeper than it goes."""
    fields = [msgspec.msgpack.encode(field) for field in msgspec.msgpack.decode(value)]
    return b"\xdc" + (len(fields) + 1).to_bytes(2, "big") + b"".join(fields) + _DEEP


def nested_within(_value: bytes, _text: str) -> bytes:
    """A message whose second field is nested deeper than a decoder goes, for who decodes its first one alone."""
    return b"\xdc\x00\x1c\x01" + _DEEP


BROKEN = (not_utf8, nested_behind, nested_within)
"""Each makes them of the bytes of a message and of a text in it."""
