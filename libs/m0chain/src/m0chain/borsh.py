"""Borsh encoders and decoders compiled from the types of an Anchor IDL.

Values: integers as `int`, `bool`, `string` as `str`, `bytes` and `[u8; N]` as `bytes`, `pubkey` as `Pubkey`, `vec`
and other arrays as `list`, `option` as value or None, structs as `dict`.
Source: https://borsh.io and Anchor IDL spec 0.1.0.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from solders.pubkey import Pubkey

from m0chain.errors import DecodeError

# An IDL type is JSON: a name or a one-key object. Its values are as various as the IDL allows, hence Any.
IdlType = str | Mapping[str, Any]
Write = Callable[[Any, bytearray], None]
Read = Callable[[bytes, int], tuple[Any, int]]

_INTEGERS = {
    "u8": "<B", "i8": "<b", "u16": "<H", "i16": "<h", "u32": "<I", "i32": "<i", "u64": "<Q", "i64": "<q",
}  # fmt: skip


class Codec(NamedTuple):
    """How one IDL type is written and read; `read(data, offset)` returns the value and the offset after it."""

    write: Write
    read: Read


def compile_type(idl_type: IdlType, types: Mapping[str, Mapping[str, Any]]) -> Codec:
    """The codec of `idl_type`; `types` holds the IDL's struct definitions by name."""
    if isinstance(idl_type, str):
        return _primitive(idl_type)
    ((kind, inner),) = idl_type.items()
    match kind:
        case "array":
            element, length = inner
            return _byte_array(length) if element == "u8" else _array(compile_type(element, types), length)
        case "vec":
            return _BYTES if inner == "u8" else _vec(compile_type(inner, types))
        case "option":
            return _option(compile_type(inner, types))
        case "defined":
            name = inner if isinstance(inner, str) else inner["name"]
            if name not in types:
                raise DecodeError(f"type {name}: the IDL does not define it")
            return compile_struct(types[name]["fields"], types)
        case _:
            raise DecodeError(f"IDL type {idl_type}: not supported")


def compile_struct(fields: list[Mapping[str, Any]], types: Mapping[str, Mapping[str, Any]]) -> Codec:
    """The codec of a struct with named fields: dicts in, dicts out."""
    members = [(str(f["name"]), compile_type(f["type"], types)) for f in fields]

    def write(value: Any, out: bytearray) -> None:
        for name, codec in members:
            codec.write(value[name], out)

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        result = {}
        for name, codec in members:
            result[name], offset = codec.read(data, offset)
        return result, offset

    return Codec(write, read)


def _take(data: bytes, offset: int, length: int) -> bytes:
    end = offset + length
    if end > len(data):
        raise DecodeError(f"{length} bytes wanted at offset {offset}: the data ends at {len(data)}")
    return data[offset:end]


def _primitive(name: str) -> Codec:
    if name in _INTEGERS:
        return _integer(struct.Struct(_INTEGERS[name]), name)
    known = {"bool": _BOOL, "string": _STRING, "bytes": _BYTES, "pubkey": _PUBKEY, "publicKey": _PUBKEY}
    if name not in known:
        raise DecodeError(f"IDL type {name!r}: not supported")
    return known[name]


def _integer(layout: struct.Struct, name: str) -> Codec:
    def write(value: Any, out: bytearray) -> None:
        try:
            out += layout.pack(value)
        except struct.error as error:
            raise DecodeError(f"{value!r} does not fit {name}") from error

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        return layout.unpack(_take(data, offset, layout.size))[0], offset + layout.size

    return Codec(write, read)


def _byte_array(length: int) -> Codec:
    def write(value: Any, out: bytearray) -> None:
        if len(value) != length:
            raise DecodeError(f"{len(value)} bytes where {length} are wanted")
        out += value

    return Codec(write, lambda data, offset: (_take(data, offset, length), offset + length))


def _items(item: Codec, data: bytes, offset: int, count: int) -> tuple[Any, int]:
    values = []
    for _ in range(count):
        value, offset = item.read(data, offset)
        values.append(value)
    return values, offset


def _array(item: Codec, length: int) -> Codec:
    def write(value: Any, out: bytearray) -> None:
        if len(value) != length:
            raise DecodeError(f"{len(value)} items where {length} are wanted")
        for each in value:
            item.write(each, out)

    return Codec(write, lambda data, offset: _items(item, data, offset, length))


def _length(data: bytes, offset: int) -> tuple[int, int]:
    return int.from_bytes(_take(data, offset, 4), "little"), offset + 4


def _vec(item: Codec) -> Codec:
    def write(value: Any, out: bytearray) -> None:
        out += len(value).to_bytes(4, "little")
        for each in value:
            item.write(each, out)

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        count, offset = _length(data, offset)
        if count > len(data) - offset:  # every item has a byte at least: refuse before looping
            raise DecodeError(f"vec of {count} items at offset {offset}: the data ends at {len(data)}")
        return _items(item, data, offset, count)

    return Codec(write, read)


def _option(item: Codec) -> Codec:
    def write(value: Any, out: bytearray) -> None:
        out.append(value is not None)
        if value is not None:
            item.write(value, out)

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        flag, offset = _BOOL.read(data, offset)
        return item.read(data, offset) if flag else (None, offset)

    return Codec(write, read)


def _write_bytes(value: Any, out: bytearray) -> None:
    out += len(value).to_bytes(4, "little")
    out += value


def _read_bytes(data: bytes, offset: int) -> tuple[Any, int]:
    length, offset = _length(data, offset)
    return _take(data, offset, length), offset + length


def _read_string(data: bytes, offset: int) -> tuple[Any, int]:
    raw, offset = _read_bytes(data, offset)
    try:
        return raw.decode(), offset
    except UnicodeDecodeError as error:
        raise DecodeError(f"string before offset {offset}: not UTF-8") from error


def _read_bool(data: bytes, offset: int) -> tuple[Any, int]:
    byte = _take(data, offset, 1)[0]
    if byte > 1:
        raise DecodeError(f"bool {byte} at offset {offset}: it is 0 or 1")
    return byte == 1, offset + 1


_BOOL = Codec(lambda value, out: out.append(bool(value)), _read_bool)
_BYTES = Codec(_write_bytes, _read_bytes)
_STRING = Codec(lambda value, out: _write_bytes(value.encode(), out), _read_string)
_PUBKEY = Codec(
    lambda value, out: out.extend(bytes(value)),
    lambda data, offset: (Pubkey.from_bytes(_take(data, offset, 32)), offset + 32),
)
