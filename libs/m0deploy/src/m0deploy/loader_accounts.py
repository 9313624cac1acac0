"""What the upgradeable loader keeps on chain: programs with their code and upgrade authority, and buffers.

Layouts (`solana-loader-v3-interface`, bincode): `u32` tag 1 buffer, 2 program, 3 program data; then, of a buffer, an
optional authority (`u8`, 32 bytes); of program data the slot (`u64`) before it.
"""

import hashlib
import struct
from typing import NamedTuple

from m0chain import ChainClient, pda
from solders.pubkey import Pubkey

from m0deploy.errors import ANEW, DeployError

BUFFER_HEADER_BYTES = 37
PROGRAM_BYTES = 36
PROGRAM_DATA_HEADER_BYTES = 45
_BUFFER_TAG = struct.pack("<I", 1)
_PROGRAM_DATA_TAG = struct.pack("<I", 3)


class Deployed(NamedTuple):
    """A program: `code` with the zeros behind it, who may upgrade it (None: nobody), the slot of its deployment."""

    code: bytes
    authority: Pubkey | None
    slot: int
    executable: bool

    def runs(self, code: bytes) -> bool:
        """Whether it runs this code; what is behind it is room."""
        return self.code[: len(code)] == code and not any(self.code[len(code) :])

    def sha256(self, length: int) -> str:
        """The hash, hex, of the first `length` bytes, or of all up to the last that is not zero when that is more."""
        used = len(self.code.rstrip(b"\0"))
        return hashlib.sha256(self.code[: max(length, used)]).hexdigest()


class Buffer(NamedTuple):
    """Bytes on their way into a program, and the lamports that closing it gives back."""

    address: Pubkey
    lamports: int
    code: bytes


async def deployed(client: ChainClient, program: Pubkey) -> Deployed | None:
    """A program as it stands on chain, None when nothing is there. Raises ChainError, DeployError for what is none."""
    account, data = await client.accounts([program, pda.program_data(program)])
    if account is None:
        return None
    is_program = account.owner == pda.UPGRADEABLE_LOADER and data is not None and data.data[:4] == _PROGRAM_DATA_TAG
    if not is_program or data is None:
        raise DeployError(f"account {program} is no upgradeable program: name another key for it, {ANEW}")
    authority = Pubkey.from_bytes(data.data[13:45]) if data.data[12] else None
    (slot,) = struct.unpack_from("<Q", data.data, 4)
    return Deployed(data.data[PROGRAM_DATA_HEADER_BYTES:], authority, slot, account.executable)


async def buffers(client: ChainClient, authority: Pubkey) -> list[Buffer]:
    """The buffers of an authority, the largest first. Raises ChainError, also where a node does not list accounts."""
    found = await client.program_accounts(pda.UPGRADEABLE_LOADER, _BUFFER_TAG, {4: b"\1" + bytes(authority)})
    made = [Buffer(account.address, account.lamports, account.data[BUFFER_HEADER_BYTES:]) for account in found]
    return sorted(made, key=lambda each: (-len(each.code), bytes(each.address)))
