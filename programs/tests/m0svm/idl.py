"""Instructions, accounts and events of a program, encoded and decoded by its IDL alone."""

import json
import struct
from pathlib import Path
from typing import Any

from solders.pubkey import Pubkey

PROGRAMS = Path(__file__).resolve().parents[2]
_NUMBERS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q"}


class Idl:
    """One program's IDL."""

    def __init__(self, name: str) -> None:
        raw = json.loads((PROGRAMS / "idl" / f"{name}.json").read_text())
        self.instructions = {i["name"]: i for i in raw["instructions"]}
        self.accounts = {a["name"]: bytes(a["discriminator"]) for a in raw["accounts"]}
        self.events = {bytes(e["discriminator"]): e["name"] for e in raw["events"]}
        self.types = {t["name"]: t["type"]["fields"] for t in raw["types"]}
        self.errors = {e["name"]: e["code"] for e in raw["errors"]}
        self.error_names = {e["code"]: e["name"] for e in raw["errors"]}

    def encode(self, kind: Any, value: Any) -> bytes:
        """Borsh bytes of a value of an IDL type."""
        if isinstance(kind, str) and kind in _NUMBERS:
            return struct.pack("<" + _NUMBERS[kind], value)
        if kind == "bool":
            return bytes([value])
        if kind == "pubkey":
            return bytes(value)
        if kind in ("string", "bytes"):
            data = value.encode() if isinstance(value, str) else bytes(value)
            return struct.pack("<I", len(data)) + data
        if "vec" in kind:
            return struct.pack("<I", len(value)) + b"".join(self.encode(kind["vec"], v) for v in value)
        inner, length = kind["array"]
        if len(value) != length:
            raise ValueError(f"array of {len(value)}, not {length}")
        return bytes(value) if inner == "u8" else b"".join(self.encode(inner, v) for v in value)

    def decode(self, kind: Any, data: bytes, at: int) -> tuple[Any, int]:
        """The value at `at` and the offset after it."""
        if isinstance(kind, str) and kind in _NUMBERS:
            size = struct.calcsize("<" + _NUMBERS[kind])
            return struct.unpack_from("<" + _NUMBERS[kind], data, at)[0], at + size
        if kind == "bool":
            return {0: False, 1: True}[data[at]], at + 1
        if kind == "pubkey":
            return Pubkey(data[at : at + 32]), at + 32
        if kind in ("string", "bytes"):
            (length,) = struct.unpack_from("<I", data, at)
            raw = data[at + 4 : at + 4 + length]
            return (raw.decode() if kind == "string" else raw), at + 4 + length
        if "defined" in kind:
            return self.fields(self.types[kind["defined"]["name"]], data, at)
        if "array" in kind and kind["array"][0] == "u8":
            end = at + kind["array"][1]
            return data[at:end], end
        if "array" in kind:
            inner, count = kind["array"]
        else:
            inner, (count,) = kind["vec"], struct.unpack_from("<I", data, at)
            at += 4
        out = []
        for _ in range(count):
            value, at = self.decode(inner, data, at)
            out.append(value)
        return out, at

    def fields(self, fields: list[dict[str, Any]], data: bytes, at: int) -> tuple[dict[str, Any], int]:
        """A struct as a dict."""
        out = {}
        for field in fields:
            out[field["name"]], at = self.decode(field["type"], data, at)
        return out, at

    def data(self, name: str, args: dict[str, Any]) -> bytes:
        """Instruction data."""
        ins = self.instructions[name]
        if set(args) != {a["name"] for a in ins["args"]}:
            raise ValueError(f"{name}: arguments {sorted(args)}")
        return bytes(ins["discriminator"]) + b"".join(self.encode(a["type"], args[a["name"]]) for a in ins["args"])

    def account(self, name: str, data: bytes) -> dict[str, Any]:
        """A decoded account; every byte after its fields must be zero."""
        if data[:8] != self.accounts[name]:
            raise ValueError(f"not a {name}")
        out, end = self.fields(self.types[name], data, 8)
        if any(data[end:]):
            raise ValueError(f"{name}: bytes after its fields")
        return out

    def event(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """A decoded event, of which no byte may be left."""
        name = self.events[data[:8]]
        out, end = self.fields(self.types[name], data, 8)
        if end != len(data):
            raise ValueError(f"{name}: {len(data) - end} bytes left")
        return name, out
