"""
Writes the ELF, SBPF v0 or v3, with nothing in it but what the loader reads.

Source of the layout: the strict checks of `src/elf.rs` in anza's solana-sbpf.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sbpflink.image import ENTRY, R_CALL, Image, build_image
from sbpflink.reading import LinkError, read_object

IDENT = b"\x7fELF\x02\x01\x01" + bytes(9)
ET_DYN, EM_SBPF = 3, 247
PT_LOAD, PT_DYNAMIC = 1, 2
PF_X, PF_W, PF_R = 1, 2, 4
SHT_PROGBITS, SHT_STRTAB, SHT_DYNAMIC, SHT_REL, SHT_DYNSYM = 1, 3, 6, 9, 11
SHF_WRITE, SHF_ALLOC, SHF_EXEC = 1, 2, 4
DT_NULL, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT = 0, 5, 6, 10, 11
DT_REL, DT_RELSZ, DT_RELENT, DT_TEXTREL, DT_FLAGS, DF_TEXTREL = 17, 18, 19, 22, 30, 4
PAGE = 4096


def _program_header(kind: int, flags: int, offset: int, address: int, size: int, align: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, align)


def _elf_header(entry: int, sections_at: int, flags: int, programs: int, sections: int) -> bytes:
    names = sections - 1 if sections else 0
    fields = (ET_DYN, EM_SBPF, 1, entry, 64, sections_at, flags, 64, 56, programs, 64, sections, names)
    return IDENT + struct.pack("<HHIQQQIHHHHHH", *fields)


def _v3(image: Image) -> bytes:
    headers = []
    if image.rodata:
        headers.append(_program_header(PT_LOAD, PF_R, image.rodata_offset, 0, len(image.rodata), 8))
    text = (image.text_offset, image.text_address, len(image.text))
    headers.append(_program_header(PT_LOAD, PF_X, *text, 8))
    head = _elf_header(image.text_address + image.entry, 0, 3, len(headers), 0)
    return bytes(head + b"".join(headers) + image.rodata + image.text)


@dataclass(frozen=True)
class _Section:
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int = 0
    info: int = 0
    align: int = 8
    entry_size: int = 0


def _section_table(sections: list[_Section], names_at: int) -> tuple[bytes, bytes]:
    """The section names, and the table that ends with them."""
    names = b"\0" + b"".join(s.name.encode() + b"\0" for s in sections) + b".shstrtab\0"
    every = [*sections, _Section(".shstrtab", SHT_STRTAB, 0, names_at, len(names), align=1)]
    table, name = bytes(64), 1
    for s in every:
        address = s.offset if s.flags else 0
        place = (address, s.offset, s.size, s.link, s.info, s.align, s.entry_size)
        table += struct.pack("<IIQQQQIIQQ", name, s.type, s.flags, *place)
        name += len(s.name) + 1
    return names, table


def _dynamic_symbols(image: Image) -> tuple[bytes, bytes]:
    """The symbol table (syscalls, then the entry point) and its strings."""
    strings, symbols = b"\0", bytes(24)
    for name in image.syscalls:
        symbols += struct.pack("<IBBHQQ", len(strings), 0x10, 0, 0, 0, 0)
        strings += name.encode() + b"\0"
    symbols += struct.pack("<IBBHQQ", len(strings), 0x12, 0, 1, image.text_offset + image.entry, 0)
    strings += ENTRY.encode() + b"\0"
    return symbols, strings + bytes(-len(strings) % 8)


def _v0(image: Image) -> bytes:
    symbols, strings = _dynamic_symbols(image)
    rel = b"".join(struct.pack("<QQ", at, index + 1 << 32 | R_CALL) for at, index in image.syscall_sites)
    loaded = len(image.text) + len(image.rodata)
    dynamic_at = image.text_offset + loaded
    dynamic_size = 16 * (10 if rel else 7)
    symbols_at = dynamic_at + dynamic_size
    strings_at = symbols_at + len(symbols)
    rel_at = strings_at + len(strings)
    names_at = rel_at + len(rel)

    tags = [(DT_FLAGS, DF_TEXTREL)]
    if rel:
        tags += [(DT_REL, rel_at), (DT_RELSZ, len(rel)), (DT_RELENT, 16)]
    tags += [(DT_SYMTAB, symbols_at), (DT_SYMENT, 24), (DT_STRTAB, strings_at), (DT_STRSZ, len(strings))]
    tags += [(DT_TEXTREL, 0), (DT_NULL, 0)]
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)

    sections = [_Section(".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXEC, image.text_offset, len(image.text))]
    if image.rodata:
        sections.append(_Section(".rodata", SHT_PROGBITS, SHF_ALLOC, image.rodata_offset, len(image.rodata)))
    own = len(sections) + 1  # the index of .dynamic; .dynsym and .dynstr follow
    dynamic_flags = SHF_WRITE | SHF_ALLOC
    sections += [
        _Section(".dynamic", SHT_DYNAMIC, dynamic_flags, dynamic_at, dynamic_size, own + 2, entry_size=16),
        _Section(".dynsym", SHT_DYNSYM, SHF_ALLOC, symbols_at, len(symbols), own + 2, 1, entry_size=24),
        _Section(".dynstr", SHT_STRTAB, SHF_ALLOC, strings_at, len(strings), align=1),
    ]
    if rel:
        sections.append(_Section(".rel.dyn", SHT_REL, SHF_ALLOC, rel_at, len(rel), own + 1, entry_size=16))
    names, table = _section_table(sections, names_at)
    padding = bytes(-(names_at + len(names)) % 8)
    table_at = names_at + len(names) + len(padding)

    headers = [
        _program_header(PT_LOAD, PF_R | PF_X, image.text_offset, image.text_offset, loaded, PAGE),
        _program_header(PT_LOAD, PF_R | PF_W, dynamic_at, dynamic_at, names_at - dynamic_at, PAGE),
        _program_header(PT_DYNAMIC, PF_R | PF_W, dynamic_at, dynamic_at, dynamic_size, 8),
    ]
    head = _elf_header(image.text_offset + image.entry, table_at, 0, len(headers), len(sections) + 2)
    body = image.text + image.rodata + dynamic + symbols + strings + rel + names + padding + table
    return bytes(head + b"".join(headers) + body)


def check_arch(arch: str) -> str:
    """`arch` when it is `v0` or `v3`; raises LinkError."""
    if arch not in ("v0", "v3"):
        raise LinkError(f"SBPF_ARCH is {arch!r}: v0 or v3")
    return arch


def link(obj: bytes, arch: str) -> bytes:
    """The program's ELF from a relocatable object; `arch` is `v0` or `v3`. Raises LinkError."""
    check_arch(arch)
    image = build_image(read_object(obj), v3=arch == "v3")
    return _v3(image) if image.v3 else _v0(image)
