"""The signer's view of the chain: a small port, and its implementation over RPC."""

from collections.abc import Sequence
from typing import Protocol

from m0chain import ChainClient, DecodeError, Landed, Oracle, RpcRejected, Sender, accounts, pda
from m0chain.accounts import Catalog, Epoch, EpochStatus, SignerSet
from m0chain.rpc import CLOCK_SYSVAR, clock_ms
from m0chain.send import RemoteSigner
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from m0_signer.flow import View

LOOK_BACK = 16
"""How many epochs before one are looked at for older ones that must be finalized first."""


class ChainPort(Protocol):
    """What the signer asks of the chain. Every method raises ChainError."""

    @property
    def program(self) -> Pubkey:
        """The m0-oracle program."""
        ...

    async def view(self, catalog: str, epoch_id: int, *, earlier: bool = False) -> View | None:
        """The epoch as it stands, None when the catalog does not exist; `earlier` also reads older epochs."""
        ...

    async def signer_set(self, set_id: int) -> SignerSet | None:
        """A signer set."""
        ...

    async def send(self, instruction: Instruction) -> Landed:
        """Sign with the signer's key, send, wait for confirmation."""
        ...


class RpcChain:
    """The port over a node; `key` signs and pays."""

    def __init__(self, client: ChainClient, sender: Sender, program: Pubkey, key: RemoteSigner) -> None:
        self._client, self._sender, self._program, self._key = client, sender, program, key

    @property
    def program(self) -> Pubkey:
        return self._program

    async def view(self, catalog: str, epoch_id: int, *, earlier: bool = False) -> View | None:
        older = range(max(0, epoch_id - LOOK_BACK), epoch_id) if earlier else range(0)
        addresses = [CLOCK_SYSVAR, pda.catalog(self._program, catalog)]
        addresses += [pda.epoch(self._program, catalog, i) for i in (epoch_id, *older)]
        clock, home, this, *before = [None if a is None else a.data for a in await self._client.accounts(addresses)]
        if clock is None:
            raise RpcRejected("the node has no Clock sysvar: is it a Solana node?")
        if home is None:
            return None
        decoded = accounts.catalog(home)
        epoch = None if this is None else accounts.epoch(this)
        return View(epoch, decoded, clock_ms(clock), pending(decoded, before))

    async def signer_set(self, set_id: int) -> SignerSet | None:
        account = await self._client.account(pda.signer_set(self._program, set_id))
        return None if account is None else accounts.signer_set(account.data)

    async def send(self, instruction: Instruction) -> Landed:
        return await self._sender.send([instruction], [self._key])


def pending(catalog: Catalog, data: Sequence[bytes | None]) -> tuple[Epoch, ...]:
    """Those epochs among accounts' `data` that could still be finalized before others of their catalog."""
    found = []
    for each in data:
        if each is None:
            continue
        try:
            epoch = accounts.epoch(each)
        except DecodeError:
            continue
        over = epoch.status in {EpochStatus.FINALIZED, EpochStatus.EXPIRED}
        shut_out = catalog.finalized_count and epoch.epoch_id <= catalog.last_finalized_epoch
        if not over and not shut_out:
            found.append(epoch)
    return tuple(found)


def oracle(port: ChainPort) -> Oracle:
    """The instruction builders for the port's program."""
    return Oracle(port.program)
