"""The interface of a program as data, read from its TOML file."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

FIRST_COMMON_ERROR = 6000
FIXED_SIZES = {"u8": 1, "bool": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8, "pubkey": 32}


@dataclass(frozen=True)
class Type:
    """
    A Borsh type: `kind` is a primitive's name, `string`, `bytes`, `array`, `vec` or `struct`.

    `length` is that of an array, or of `bytes` when it is fixed; `name` that of a struct.
    """

    kind: str
    inner: Type | None = None
    length: int = 0
    name: str = ""


@dataclass(frozen=True)
class Field:
    name: str
    type: Type


@dataclass(frozen=True)
class AccountRef:
    """One account of an instruction; `pda` is the name of its seeds, `seeds` the arguments or `account.field` paths."""

    name: str
    signer: bool
    writable: bool
    pda: str = ""
    seeds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Instruction:
    name: str
    docs: tuple[str, ...]
    accounts: tuple[AccountRef, ...]
    args: tuple[Field, ...]


@dataclass(frozen=True)
class Struct:
    name: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class ErrorCode:
    code: int
    name: str
    msg: str


@dataclass(frozen=True)
class Interface:
    name: str
    version: str
    description: str
    pdas: dict[str, str]
    instructions: tuple[Instruction, ...]
    accounts: tuple[Struct, ...]
    events: tuple[Struct, ...]
    types: tuple[Struct, ...]
    errors: tuple[ErrorCode, ...]

    def struct(self, name: str) -> Struct:
        """The account or type of that name; raises KeyError when there is none."""
        return {s.name: s for s in (*self.accounts, *self.types)}[name]

    def size(self, of: Type) -> int | None:
        """Encoded bytes of a type, or None when the length varies."""
        if of.kind in FIXED_SIZES:
            return FIXED_SIZES[of.kind]
        if of.kind == "bytes" and of.length:
            return 4 + of.length
        if of.kind == "array" and of.inner:
            inner = self.size(of.inner)
            return None if inner is None else inner * of.length
        if of.kind == "struct":
            sizes = [self.size(f.type) for f in self.struct(of.name).fields]
            return None if None in sizes else sum(s for s in sizes if s is not None)
        return None


def discriminator(space: str, name: str) -> bytes:
    """Anchor's 8-byte discriminator; `space` is `global`, `account` or `event`."""
    return hashlib.sha256(f"{space}:{name}".encode()).digest()[:8]


def parse_type(text: str) -> Type:
    """Read a type such as `u64`, `[u8; 32]`, `vec<pubkey>` or `bytes<250>`."""
    text = text.strip()
    if text in FIXED_SIZES or text in ("string", "bytes"):
        return Type(text)
    if m := re.fullmatch(r"\[(.+);\s*(\d+)\]", text):
        return Type("array", parse_type(m[1]), int(m[2]))
    if m := re.fullmatch(r"vec<(.+)>", text):
        return Type("vec", parse_type(m[1]))
    if m := re.fullmatch(r"bytes<(\d+)>", text):
        return Type("bytes", length=int(m[1]))
    if re.fullmatch(r"[A-Z]\w+", text):
        return Type("struct", name=text)
    raise ValueError(f"unknown type {text!r}")


def parse_field(text: str) -> Field:
    """Read `name: type`."""
    name, _, kind = text.partition(":")
    return Field(name.strip(), parse_type(kind))


def parse_account(text: str) -> AccountRef:
    """Read `name flags [= pda(seed, ...)]`."""
    m = re.fullmatch(r"(\w+) ([sw-]+)(?: = (\w+)\((.*)\))?", text)
    if not m:
        raise ValueError(f"cannot read the account line {text!r}: want `name flags [= pda(seed, ...)]`")
    seeds = tuple(s.strip() for s in (m[4] or "").split(",") if s.strip())
    return AccountRef(m[1], "s" in m[2], "w" in m[2], m[3] or "", seeds)


def _structs(raw: list[dict[str, object]]) -> tuple[Struct, ...]:
    return tuple(Struct(str(r["name"]), tuple(parse_field(f) for f in r["fields"])) for r in raw)  # type: ignore[attr-defined]


def _errors(first: int, raw: list[list[str]]) -> tuple[ErrorCode, ...]:
    return tuple(ErrorCode(first + i, name, msg) for i, (name, msg) in enumerate(raw))


def load_common(path: Path) -> tuple[ErrorCode, ...]:
    """The errors every program shares."""
    return _errors(FIRST_COMMON_ERROR, tomllib.loads(path.read_text())["errors"])


def load_interface(path: Path) -> Interface:
    """Read one program's interface file."""
    raw = tomllib.loads(path.read_text())
    instructions = tuple(
        Instruction(
            i["name"],
            tuple(i["docs"]),
            tuple(parse_account(a) for a in i["accounts"]),
            tuple(parse_field(f) for f in i["args"]),
        )
        for i in raw["instructions"]
    )
    return Interface(
        raw["name"],
        raw["version"],
        raw["description"],
        raw["pdas"],
        instructions,
        _structs(raw["accounts"]),
        _structs(raw["events"]),
        _structs(raw.get("types", [])),
        _errors(raw["first_error"], raw["errors"]["list"]),
    )
