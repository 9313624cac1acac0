"""An in-process chain for tests: real programs in LiteSVM, with a clock that the test moves."""

import struct
from collections.abc import Mapping
from pathlib import Path

from solders.account import Account
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from m0chain import pda
from m0chain.errors import RpcUnavailable
from m0chain.faults import Faults
from m0chain.idl import Idl
from m0chain.send import AnySigner, Landed, sign

_RICH = 10**13


class Vm:
    """A fresh chain; `admin` is rich and the upgrade authority of every program. While `down`, sending fails."""

    def __init__(self, now_ms: int) -> None:
        self.svm = LiteSVM()
        self.admin = Keypair()
        self.down = False
        self._idls: dict[Pubkey, Idl] = {}
        self.fund(self.admin.pubkey())
        self.set_time(now_ms)

    def fund(self, address: Pubkey) -> None:
        """Give an address plenty."""
        self.svm.airdrop(address, _RICH)

    def deploy(self, file: Path, idl: Idl) -> Pubkey:
        """A new upgradeable program that runs the code in `file`."""
        program = Keypair().pubkey()
        self._idls[program] = idl
        data_key = pda.program_data(program)
        data = struct.pack("<IQB", 3, 0, 1) + bytes(self.admin.pubkey()) + file.read_bytes()
        self.svm.set_account(data_key, Account(_RICH, data, pda.UPGRADEABLE_LOADER, executable=False))
        code = struct.pack("<I", 2) + bytes(data_key)
        self.svm.set_account(program, Account(_RICH, code, pda.UPGRADEABLE_LOADER, executable=True))
        self.svm.warp_to_slot(self.svm.get_clock().slot + 2)
        return program

    @property
    def now_ms(self) -> int:
        """The clock as programs see it."""
        return int(self.svm.get_clock().unix_timestamp) * 1000

    def set_time(self, now_ms: int) -> None:
        """Move the clock; the chain knows whole seconds only."""
        clock = self.svm.get_clock()
        clock.unix_timestamp = now_ms // 1000
        self.svm.set_clock(clock)

    def data(self, address: Pubkey) -> bytes | None:
        """An account's data, None when there is none."""
        account = self.svm.get_account(address)
        return bytes(account.data) if account is not None and account.data else None

    def do(self, *instructions: Instruction, signer: Keypair | None = None) -> Landed:
        """Execute as the admin, or as `signer`. Raises TransactionFailed or ProgramError."""
        who = signer or self.admin
        message = MessageV0.try_compile(who.pubkey(), list(instructions), [], self.svm.latest_blockhash())
        programs = {i: each.program_id for i, each in enumerate(instructions)}
        return self._execute(bytes(VersionedTransaction(message, [who])), programs)

    async def send(self, instruction: Instruction, signer: AnySigner) -> Landed:
        """Execute as any kind of signer. Raises what `Sender.send` would."""
        if self.down:
            raise RpcUnavailable("the node is away")
        raw, _ = await sign([instruction], [signer], self.svm.latest_blockhash())
        return self._execute(raw, {0: instruction.program_id})

    def _execute(self, raw: bytes, programs: Mapping[int, Pubkey]) -> Landed:
        result = self.svm.send_transaction(VersionedTransaction.from_bytes(raw))
        self.svm.expire_blockhash()
        if isinstance(result, FailedTransactionMetadata):
            raise Faults(self._idls).transaction(result.err(), list(programs.values()), result.meta().logs())
        return Landed(str(result.signature()), self.svm.get_clock().slot)
