"""The real oracle program in LiteSVM, behind the signer's port, with a clock the test moves."""

import struct
from pathlib import Path

from m0_signer.chain import LOOK_BACK, pending
from m0_signer.flow import View
from m0_signer.keystore import MemoryKeyStore
from m0common.chain import Landed, Oracle, RpcUnavailable, accounts, idl, pda
from m0common.chain.faults import Faults
from m0common.chain.send import sign
from solders.account import Account
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

DEPLOYED = Path(__file__).parents[3] / "programs/deploy"
EPOCH_MS, COMMIT_MS, REVEAL_MS = 20_000, 40_000, 40_000
SET_ID = 1


class Vm:
    """A chain with the oracle deployed, a set of `count` signers and the catalogs `sports` and `crypto`."""

    def __init__(self, now_ms: int, count: int = 3, threshold: int = 2) -> None:
        self.svm = LiteSVM()
        self.program = Pubkey.new_unique()
        self.oracle = Oracle(self.program)
        self.admin = Keypair()
        self.keys = sorted((Keypair() for _ in range(count)), key=lambda k: bytes(k.pubkey()))
        self.faults = Faults({self.program: idl.oracle()})
        self.down = False
        self.sent: list[tuple[str, Pubkey]] = []
        for key in (self.admin, *self.keys):
            self.svm.airdrop(key.pubkey(), 10**12)
        self._deploy()
        self.set_time(now_ms)
        registry = Pubkey.new_unique()
        me = self.admin.pubkey()
        self._setup(self.oracle.initialize(me, me, me, registry))
        self._setup(self.oracle.create_signer_set(me, me, SET_ID, threshold, [k.pubkey() for k in self.keys]))
        for name in ("sports", "crypto"):
            self._setup(self.oracle.create_catalog(me, me, name, SET_ID, EPOCH_MS, COMMIT_MS, REVEAL_MS))

    def _deploy(self) -> None:
        code = (DEPLOYED / "m0_oracle.so").read_bytes()
        data_key = pda.program_data(self.program)
        data = struct.pack("<IQB", 3, 0, 1) + bytes(self.admin.pubkey()) + code
        self.svm.set_account(data_key, Account(10**10, data, pda.UPGRADEABLE_LOADER, False, 0))
        program = struct.pack("<I", 2) + bytes(data_key)
        self.svm.set_account(self.program, Account(10**10, program, pda.UPGRADEABLE_LOADER, True, 0))
        self.svm.warp_to_slot(2)

    def _setup(self, instruction) -> None:
        message = MessageV0.try_compile(self.admin.pubkey(), [instruction], [], self.svm.latest_blockhash())
        self._execute(bytes(VersionedTransaction(message, [self.admin])), [instruction.program_id])

    async def run(self, instruction) -> None:
        self._setup(instruction)

    def _execute(self, raw: bytes, programs: list[Pubkey]) -> Landed:
        result = self.svm.send_transaction(VersionedTransaction.from_bytes(raw))
        if isinstance(result, FailedTransactionMetadata):
            raise self.faults.transaction(result.err(), programs, result.meta().logs())
        self.svm.expire_blockhash()
        return Landed(str(result.signature()), self.svm.get_clock().slot)

    @property
    def now_ms(self) -> int:
        return self.svm.get_clock().unix_timestamp * 1000

    def set_time(self, now_ms: int) -> None:
        clock = self.svm.get_clock()
        clock.unix_timestamp = now_ms // 1000
        self.svm.set_clock(clock)

    def data(self, address: Pubkey) -> bytes | None:
        account = self.svm.get_account(address)
        return bytes(account.data) if account is not None and account.data else None

    def epoch(self, catalog: str, epoch_id: int):
        data = self.data(pda.epoch(self.program, catalog, epoch_id))
        return None if data is None else accounts.epoch(data)

    def catalog(self, name: str):
        return accounts.catalog(self.data(pda.catalog(self.program, name)))

    def port(self, member: int) -> "VmChain":
        return VmChain(self, MemoryKeyStore(self.keys[member]))


class VmChain:
    """See m0_signer.chain.ChainPort."""

    def __init__(self, vm: Vm, key: MemoryKeyStore) -> None:
        self.vm, self.key = vm, key

    @property
    def program(self) -> Pubkey:
        return self.vm.program

    def _up(self) -> None:
        if self.vm.down:
            raise RpcUnavailable("the node is away")

    async def view(self, catalog, epoch_id, *, earlier=False):
        self._up()
        data = self.vm.data(pda.catalog(self.program, catalog))
        if data is None:
            return None
        decoded = accounts.catalog(data)
        older = range(max(0, epoch_id - LOOK_BACK), epoch_id) if earlier else range(0)
        before = [self.vm.data(pda.epoch(self.program, catalog, i)) for i in older]
        return View(self.vm.epoch(catalog, epoch_id), decoded, self.vm.now_ms, pending(decoded, before))

    async def signer_set(self, set_id):
        self._up()
        data = self.vm.data(pda.signer_set(self.program, set_id))
        return None if data is None else accounts.signer_set(data)

    async def send(self, instruction):
        self._up()
        raw, _ = await sign([instruction], [self.key], self.vm.svm.latest_blockhash())
        landed = self.vm._execute(raw, [instruction.program_id])
        name = idl.oracle().decode_args(bytes(instruction.data))[0]
        self.vm.sent.append((name, self.key.public_key))
        return landed
