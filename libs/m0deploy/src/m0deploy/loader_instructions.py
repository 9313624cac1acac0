"""Instructions of the upgradeable loader (`solana-loader-v3-interface`; bincode: `u32` tag, `u64` lengths)."""

import struct

from m0chain import pda
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.sysvar import CLOCK, RENT


def initialize_buffer(buffer: Pubkey, authority: Pubkey) -> Instruction:
    """Make an account of the loader a buffer."""
    return _loader(struct.pack("<I", 0), _w(buffer), _r(authority))


def write(buffer: Pubkey, authority: Pubkey, offset: int, part: bytes) -> Instruction:
    """Write bytes into a buffer."""
    return _loader(struct.pack("<IIQ", 1, offset, len(part)) + part, _w(buffer), _s(authority))


def deploy(payer: Pubkey, program: Pubkey, buffer: Pubkey, room_bytes: int) -> Instruction:
    """Make an account of the loader a program with the code of a buffer; `payer` becomes its authority."""
    return _loader(
        struct.pack("<IQ", 2, room_bytes),
        _ws(payer),
        _w(pda.program_data(program)),
        _w(program),
        _w(buffer),
        _r(RENT),
        _r(CLOCK),
        _r(SYSTEM_PROGRAM),
        _s(payer),
    )


def upgrade(payer: Pubkey, program: Pubkey, buffer: Pubkey) -> Instruction:
    """Give a program the code of a buffer; what the buffer held goes to `payer`, its authority."""
    data = pda.program_data(program)
    return _loader(struct.pack("<I", 3), _w(data), _w(program), _w(buffer), _w(payer), _r(RENT), _r(CLOCK), _s(payer))


def close(buffer: Pubkey, authority: Pubkey) -> Instruction:
    """End a buffer; its lamports go to the authority."""
    return _loader(struct.pack("<I", 5), _w(buffer), _w(authority), _s(authority))


def hand_over(program: Pubkey, authority: Pubkey, heir: Pubkey) -> Instruction:
    """`SetAuthorityChecked`: who may upgrade a program; the new one signs as well."""
    return _loader(struct.pack("<I", 7), _w(pda.program_data(program)), _s(authority), _s(heir))


def extend(payer: Pubkey, program: Pubkey, growth_bytes: int) -> tuple[Instruction, Instruction]:
    """Make room: `ExtendProgramChecked`, and the `ExtendProgram` before it where a cluster has only that."""
    room = (_w(pda.program_data(program)), _w(program))
    checked = _loader(struct.pack("<II", 9, growth_bytes), *room, _s(payer), _r(SYSTEM_PROGRAM), _ws(payer))
    return checked, _loader(struct.pack("<II", 6, growth_bytes), *room, _r(SYSTEM_PROGRAM), _ws(payer))


def _loader(data: bytes, *accounts: AccountMeta) -> Instruction:
    return Instruction(pda.UPGRADEABLE_LOADER, data, list(accounts))


def _w(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=True)


def _r(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=False)


def _s(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=True, is_writable=False)


def _ws(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=True, is_writable=True)
