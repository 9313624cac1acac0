"""The real oracle program in LiteSVM, behind the signer's port, with a clock the test moves."""

from pathlib import Path

from m0_signer.chain import LOOK_BACK, pending
from m0_signer.flow import View
from m0chain import Oracle, RpcUnavailable, accounts, idl, pda
from m0chain import vm as chain_vm
from m0chain.keystore import MemoryKeyStore
from solders.keypair import Keypair
from solders.pubkey import Pubkey

DEPLOYED = Path(__file__).parents[3] / "programs/deploy"
EPOCH_MS, COMMIT_MS, REVEAL_MS = 20_000, 40_000, 40_000
SET_ID = 1


class Vm(chain_vm.Vm):
    """A chain with the oracle deployed, a set of `count` signers and the catalogs `coins` and `empty`."""

    def __init__(self, now_ms: int, count: int = 3, threshold: int = 2) -> None:
        super().__init__(now_ms)
        self.program = self.deploy(DEPLOYED / "m0_oracle.so", idl.oracle())
        self.oracle = Oracle(self.program)
        self.keys = sorted((Keypair() for _ in range(count)), key=lambda k: bytes(k.pubkey()))
        for key in self.keys:
            self.fund(key.pubkey())
        me = self.admin.pubkey()
        self.do(self.oracle.initialize(me, me, me, Pubkey.new_unique()))
        self.do(self.oracle.create_signer_set(me, me, SET_ID, threshold, [k.pubkey() for k in self.keys]))
        for name in ("coins", "empty"):
            self.do(self.oracle.create_catalog(me, me, name, SET_ID, EPOCH_MS, COMMIT_MS, REVEAL_MS))

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
        return await self.vm.send(instruction, self.key)
