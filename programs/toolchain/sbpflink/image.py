"""Places the object's sections into text and read-only data, and applies its relocations."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from sbpflink.murmur import murmur3
from sbpflink.reading import SHF_ALLOC, SHF_EXECINSTR, STT_SECTION, UNDEFINED, LinkError, Object, Relocation, Symbol

ENTRY = "entrypoint"
R_LDDW, R_ABS64, R_CALL = 1, 2, 10  # R_BPF_64_64, R_BPF_64_ABS64, R_BPF_64_32
CALLX, LDDW = 0x8D, 0x18
PSEUDO_CALL = 0x10
VM_BASE = 1 << 32


@dataclass
class Image:
    """Text and read-only data at their addresses, and the syscalls that the loader resolves (v0)."""

    v3: bool
    text: bytearray = field(default_factory=bytearray)
    rodata: bytearray = field(default_factory=bytearray)
    text_offset: int = 0
    rodata_offset: int = 0
    text_address: int = 0
    rodata_address: int = 0
    entry: int = 0
    syscalls: list[str] = field(default_factory=list)
    syscall_sites: list[tuple[int, int]] = field(default_factory=list)
    """File offset of a call, and the index of its syscall in `syscalls`."""
    placed: dict[int, tuple[bool, int]] = field(default_factory=dict)
    """For each section: whether it is in text, and where it begins there."""

    def buffer(self, section: int) -> tuple[bytearray, int]:
        in_text, base = self.placed[section]
        return (self.text if in_text else self.rodata), base

    def address(self, symbol: Symbol) -> int:
        in_text, base = self.placed[symbol.section]
        return (self.text_address if in_text else self.rodata_address) + base + symbol.value


def _place(image: Image, obj: Object) -> None:
    for index, section in enumerate(obj.sections):
        if not section.flags & SHF_ALLOC or not section.data:
            continue
        in_text = bool(section.flags & SHF_EXECINSTR)
        if not in_text and not section.name.startswith((".rodata", ".data.rel.ro")):
            raise LinkError(f"section {section.name}: writable statics are not possible on SBPF")
        into = image.text if in_text else image.rodata
        into += bytes(-len(into) % section.align)
        image.placed[index] = (in_text, len(into))
        into += section.data
    image.rodata += bytes(-len(image.rodata) % 8)


def _fix_indirect_calls(image: Image) -> None:
    """`callx` has its register in `imm` in v0, in `dst` in v3."""
    at, text = 0, image.text
    while at < len(text):
        if text[at] == CALLX:
            register = text[at + 1] & 15 or text[at + 4]
            text[at + 1] = register if image.v3 else 0
            struct.pack_into("<i", text, at + 4, 0 if image.v3 else register)
        at += 16 if text[at] == LDDW else 8


def _call_syscall(image: Image, name: str, at: int) -> None:
    if image.v3:
        image.text[at + 1] = 0
        struct.pack_into("<I", image.text, at + 4, murmur3(name.encode()))
        return
    image.text[at + 1] = PSEUDO_CALL
    struct.pack_into("<i", image.text, at + 4, -1)
    if name not in image.syscalls:
        image.syscalls.append(name)
    image.syscall_sites.append((image.text_offset + at, image.syscalls.index(name)))


def _relocate(image: Image, rel: Relocation) -> None:
    into, base = image.buffer(rel.section)
    at, symbol = base + rel.offset, rel.symbol
    if rel.type == R_CALL and symbol.section == UNDEFINED:
        _call_syscall(image, symbol.name, at)
    elif rel.type == R_CALL:
        (imm,) = struct.unpack_from("<i", into, at + 4)
        target = image.placed[symbol.section][1] + symbol.value
        if symbol.type == STT_SECTION:
            target += (imm + 1) * 8
        into[at + 1] = PSEUDO_CALL
        struct.pack_into("<i", into, at + 4, (target - at) // 8 - 1)
    elif rel.type == R_LDDW:
        value = image.address(symbol) + struct.unpack_from("<I", into, at + 4)[0]
        struct.pack_into("<I", into, at + 4, value & 0xFFFFFFFF)
        struct.pack_into("<I", into, at + 12, value >> 32)
    elif rel.type == R_ABS64:
        (addend,) = struct.unpack_from("<Q", into, at)
        struct.pack_into("<Q", into, at, image.address(symbol) + addend)
    else:
        raise LinkError(f"relocation type {rel.type} against {symbol.name}")


def _is_syscall(rel: Relocation) -> bool:
    return rel.type == R_CALL and (rel.symbol.name.startswith("sol_") or rel.symbol.name == "abort")


def build_image(obj: Object, *, v3: bool) -> Image:
    """The program's bytes, ready to be wrapped in an ELF whose program headers come right after the ELF header."""
    image = Image(v3)
    _place(image, obj)
    if v3:  # read-only data at address 0, text at 1 << 32
        first = 64 + 56 * (2 if image.rodata else 1)
        image.rodata_offset, image.text_offset = first, first + len(image.rodata)
        image.rodata_address, image.text_address = 0, VM_BASE
    else:  # file offset and address are the same; the loader adds 1 << 32
        image.text_offset = 64 + 56 * 3
        image.rodata_offset = image.text_offset + len(image.text)
        image.text_address, image.rodata_address = VM_BASE + image.text_offset, VM_BASE + image.rodata_offset
    _fix_indirect_calls(image)

    here = [r for r in obj.relocations if r.section in image.placed]
    missing = {r.symbol.name for r in here if r.symbol.section == UNDEFINED and not _is_syscall(r)}
    if missing:
        raise LinkError("undefined: " + ", ".join(sorted(missing)))
    for rel in here:
        _relocate(image, rel)
    entry = next((s for s in obj.symbols if s.name == ENTRY and s.section in image.placed), None)
    if entry is None:
        raise LinkError(f"no {ENTRY}")
    image.entry = image.placed[entry.section][1] + entry.value
    return image
