"""Reads a 64-bit little-endian relocatable BPF ELF."""

from __future__ import annotations

import struct
from dataclasses import dataclass

SHT_SYMTAB, SHT_NOBITS, SHT_REL = 2, 8, 9
SHF_ALLOC, SHF_EXECINSTR = 2, 4
STT_SECTION = 3
UNDEFINED = 0

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_REL = struct.Struct("<QQ")


class LinkError(Exception):
    """The object cannot become a program; the message says why."""


@dataclass(frozen=True)
class Section:
    name: str
    type: int
    flags: int
    link: int
    info: int
    align: int
    data: bytes


@dataclass(frozen=True)
class Symbol:
    name: str
    type: int
    section: int
    value: int


@dataclass(frozen=True)
class Relocation:
    """At `offset` of section `section`, of R_BPF_* type `type`."""

    section: int
    offset: int
    type: int
    symbol: Symbol


@dataclass(frozen=True)
class Object:
    sections: list[Section]
    symbols: list[Symbol]
    relocations: list[Relocation]


def _text(table: bytes, at: int) -> str:
    return table[at : table.index(0, at)].decode()


def _sections(elf: bytes) -> list[Section]:
    (table,) = struct.unpack_from("<Q", elf, 40)
    count, names_index = struct.unpack_from("<HH", elf, 60)
    heads = [_SECTION.unpack_from(elf, table + _SECTION.size * i) for i in range(count)]
    names_at, names_size = heads[names_index][4:6]
    names = elf[names_at : names_at + names_size]
    sections = []
    for name, kind, flags, _, offset, size, link, info, align, _ in heads:
        data = bytes(size) if kind == SHT_NOBITS else elf[offset : offset + size]
        sections.append(Section(_text(names, name), kind, flags, link, info, max(align, 1), data))
    return sections


def read_object(elf: bytes) -> Object:
    """Sections, symbols and relocations of an object."""
    sections = _sections(elf)
    table = next(s for s in sections if s.type == SHT_SYMTAB)
    names = sections[table.link].data
    symbols = []
    for name, info, _, section, value, _ in _SYMBOL.iter_unpack(table.data):
        symbols.append(Symbol(_text(names, name) if name else "", info & 15, section, value))
    relocations = []
    for s in sections:
        if s.type == SHT_REL:
            for offset, info in _REL.iter_unpack(s.data):
                relocations.append(Relocation(s.info, offset, info & 0xFFFFFFFF, symbols[info >> 32]))
    return Object(sections, symbols, relocations)
