"""What the indexer needs of a Solana node."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from m0chain import Subscriptions, accounts, idl, node_client
from m0chain.rpc import SignatureInfo, TransactionRecord
from m0common.secret import SecretUrl
from m0common.settings import Solana
from solders.pubkey import Pubkey
from solders.signature import Signature


@dataclass(frozen=True, slots=True)
class Listing:
    """A program's transactions after a signature, oldest first: those that are final, and all that are confirmed."""

    finalized: list[SignatureInfo]
    confirmed: list[SignatureInfo]


class Chain(Protocol):
    """The port; `NodeChain` is the real one. Every method raises m0common.errors.Unavailable when the node is away."""

    async def listing(self, program: Pubkey, until: str | None) -> Listing:
        """What happened to `program` after the transaction `until` (None: since the beginning)."""
        ...

    async def transaction(self, signature: str) -> TransactionRecord | None:
        """A confirmed transaction with its logs, None when the node does not know it (yet)."""
        ...

    async def vanished(self, signatures: Sequence[str]) -> list[str]:
        """Those of `signatures` that the node knows nothing about, not even in its archive."""
        ...

    async def genesis(self) -> str:
        """The hash that tells this chain from any other."""
        ...

    async def slot(self) -> int:
        """The newest final slot."""
        ...

    async def markets(self, registry: Pubkey) -> list[accounts.Market]:
        """Every market account, as final."""
        ...

    async def epochs(self, oracle: Pubkey) -> list[accounts.Epoch]:
        """Every epoch account that is not closed, as final."""
        ...


class NodeChain:
    """The port over JSON-RPC: one client per commitment."""

    def __init__(self, settings: Solana) -> None:
        self.confirmed = node_client(settings, commitment="confirmed")
        self._finalized = node_client(settings, commitment="finalized")

    async def close(self) -> None:
        """Close both connections."""
        await self.confirmed.close()
        await self._finalized.close()

    async def listing(self, program: Pubkey, until: str | None) -> Listing:
        # in this order, so that a transaction which becomes final in between is in both lists
        finalized = [info async for info in self._finalized.signatures_since(program, until)]
        confirmed = [info async for info in self.confirmed.signatures_since(program, until)]
        return Listing(finalized, confirmed)

    async def transaction(self, signature: str) -> TransactionRecord | None:
        return await self.confirmed.transaction(signature)

    async def vanished(self, signatures: Sequence[str]) -> list[str]:
        parsed = [Signature.from_string(s) for s in signatures]
        statuses = await self.confirmed.statuses(parsed, history=True)
        return [s for s, status in zip(signatures, statuses, strict=True) if status is None]

    async def genesis(self) -> str:
        response = await self.confirmed.call(lambda c: c.get_genesis_hash())
        return str(response.value)

    async def slot(self) -> int:
        """The newest final slot."""
        return (await self._finalized.call(lambda c: c.get_slot())).value

    async def markets(self, registry: Pubkey) -> list[accounts.Market]:
        """Every market account, as final."""
        found = await self._finalized.program_accounts(registry, idl.registry().accounts["Market"])
        return [accounts.market(account.data) for account in found]

    async def epochs(self, oracle: Pubkey) -> list[accounts.Epoch]:
        """Every epoch account that is not closed, as final."""
        found = await self._finalized.program_accounts(oracle, idl.oracle().accounts["Epoch"])
        return [accounts.epoch(account.data) for account in found]


async def wakes(ws_url: SecretUrl, program: Pubkey) -> AsyncGenerator[None, None]:
    """One item whenever something happened to `program`, or may have while the connection was down."""
    async for _ in Subscriptions(ws_url).logs(program):
        yield None
