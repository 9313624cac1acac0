"""What jobs asks of the chain: a small port, and its implementation over RPC."""

from collections.abc import Sequence
from typing import Protocol

from m0chain import ChainClient, Landed, Sender, accounts, pda
from m0chain.accounts import Catalog, Epoch, Market
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey


class ChainPort(Protocol):
    """Every method raises ChainError."""

    @property
    def payer(self) -> Pubkey:
        """The resolver, who signs and pays."""
        ...

    async def now_ms(self) -> int:
        """The chain's clock."""
        ...

    async def markets(self, market_ids: Sequence[str]) -> list[Market | None]:
        """Markets in the order asked for."""
        ...

    async def epochs(self, catalog: str, epoch_ids: Sequence[int]) -> list[Epoch | None]:
        """Epochs in the order asked for; None when never opened or closed."""
        ...

    async def catalog(self, name: str) -> Catalog | None:
        """A catalog of the oracle."""
        ...

    async def send(self, instruction: Instruction) -> Landed:
        """Sign, send, wait for confirmation."""
        ...


class RpcChain:
    """The port over a node."""

    def __init__(self, client: ChainClient, sender: Sender, oracle: Pubkey, registry: Pubkey, key: Keypair) -> None:
        self._client, self._sender, self._key = client, sender, key
        self._oracle, self._registry = oracle, registry

    @property
    def payer(self) -> Pubkey:
        return self._key.pubkey()

    async def now_ms(self) -> int:
        return (await self._client.chain_time("confirmed")).unix_ms

    async def markets(self, market_ids: Sequence[str]) -> list[Market | None]:
        found = await self._client.accounts([pda.market(self._registry, m) for m in market_ids])
        return [None if a is None else accounts.market(a.data) for a in found]

    async def epochs(self, catalog: str, epoch_ids: Sequence[int]) -> list[Epoch | None]:
        found = await self._client.accounts([pda.epoch(self._oracle, catalog, i) for i in epoch_ids])
        return [None if a is None else accounts.epoch(a.data) for a in found]

    async def catalog(self, name: str) -> Catalog | None:
        found = await self._client.account(pda.catalog(self._oracle, name))
        return None if found is None else accounts.catalog(found.data)

    async def send(self, instruction: Instruction) -> Landed:
        return await self._sender.send([instruction], [self._key])
