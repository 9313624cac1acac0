"""What the indexer needs of a Solana node."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from m0chain import ChainClient, Subscriptions, accounts, idl, node_client
from m0chain.rpc import SignatureInfo, TransactionRecord
from m0common.secret import SecretUrl
from m0common.settings import Solana
from m0index.tables.history import Cursor
from solders.pubkey import Pubkey
from solders.signature import Signature

LISTED_MAX = 20_000
"""Transactions that are listed at once. A longer history is read from its beginning in several passes."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A program's transactions after a signature, oldest first: those that are final, and what is confirmed behind.

    Not `whole`: there is more behind it than is listed at once, so what it does not name may well be there.
    """

    finalized: list[SignatureInfo]
    confirmed: list[SignatureInfo]
    whole: bool = True


class Chain(Protocol):
    """The port; `NodeChain` is the real one. Every method raises m0common.errors.Unavailable when the node is away."""

    async def listing(self, program: Pubkey, since: Cursor | None) -> Listing:
        """What happened to `program` after the transaction at `since` (None: since the beginning), at most so much as
        can be held in memory: see `Listing.whole`.
        """
        ...

    async def transaction(self, signature: str) -> TransactionRecord | None:
        """A confirmed transaction with its logs, None when the node does not know it (yet)."""
        ...

    async def vanished(self, slots: Mapping[str, int]) -> list[str]:
        """Those signatures that will never be on the chain, by the slots they were seen in.

        What is final has passed the slot, and a node that has got as far knows nothing of them, not in its archive
        either. What a node that lags does not know (yet) is not among them.
        """
        ...

    async def genesis(self) -> str:
        """The hash that tells this chain from any other."""
        ...

    async def slot(self) -> int:
        """The newest final slot."""
        ...

    async def market_heads(self, registry: Pubkey, digit: bytes) -> dict[Pubkey, accounts.MarketHead]:
        """What changes in every market whose key begins with `digit`, by address, as final."""
        ...

    async def epoch_addresses(self, oracle: Pubkey, digit: bytes) -> list[Pubkey]:
        """Every epoch that is not closed and whose id, little endian, begins with `digit`, as final."""
        ...

    async def markets(self, addresses: Sequence[Pubkey]) -> list[accounts.Market]:
        """Those market accounts that there are, as final."""
        ...

    async def epochs(self, addresses: Sequence[Pubkey]) -> list[accounts.Epoch]:
        """Those epoch accounts that there are, as final."""
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

    async def listing(self, program: Pubkey, since: Cursor | None) -> Listing:
        finalized = await _after(self._finalized, program, since)
        if len(finalized) == LISTED_MAX:
            return Listing(finalized, [], whole=False)
        # a node that has not seen the newest of these yet could not say what comes behind it
        newest = Cursor(finalized[-1].signature, finalized[-1].slot) if finalized else since
        confirmed = await _after(self.confirmed, program, newest)
        return Listing(finalized, confirmed, whole=len(confirmed) < LISTED_MAX)

    async def transaction(self, signature: str) -> TransactionRecord | None:
        return await self.confirmed.transaction(signature)

    async def vanished(self, slots: Mapping[str, int]) -> list[str]:
        final = await self.slot()
        decided = [signature for signature, slot in slots.items() if slot <= final]
        statuses = await self.confirmed.statuses([Signature.from_string(each) for each in decided], history=True)
        if statuses.slot < final:
            return []
        return [each for each, status in zip(decided, statuses.found, strict=True) if status is None]

    async def genesis(self) -> str:
        return str(await self.confirmed.genesis_hash())

    async def slot(self) -> int:
        """The newest final slot."""
        return (await self._finalized.call(lambda c: c.get_slot())).value

    async def market_heads(self, registry: Pubkey, digit: bytes) -> dict[Pubkey, accounts.MarketHead]:
        found = await self._finalized.program_accounts(
            registry,
            idl.registry().accounts["Market"],
            {accounts.MARKET_KEY_AT: digit} if digit else None,
            accounts.MARKET_HEAD_BYTES,
        )
        return {account.address: accounts.market_head(account.data) for account in found}

    async def epoch_addresses(self, oracle: Pubkey, digit: bytes) -> list[Pubkey]:
        found = await self._finalized.program_accounts(
            oracle, idl.oracle().accounts["Epoch"], {accounts.EPOCH_ID_AT: digit} if digit else None, 0
        )
        return [account.address for account in found]

    async def markets(self, addresses: Sequence[Pubkey]) -> list[accounts.Market]:
        return [accounts.market(each.data) for each in await self._finalized.accounts(addresses) if each is not None]

    async def epochs(self, addresses: Sequence[Pubkey]) -> list[accounts.Epoch]:
        return [accounts.epoch(each.data) for each in await self._finalized.accounts(addresses) if each is not None]


async def _after(client: ChainClient, program: Pubkey, since: Cursor | None) -> list[SignatureInfo]:
    until, slot = (None, None) if since is None else (since.signature, since.slot)
    listed = client.signatures_since(program, until, min_context_slot=slot, at_most=LISTED_MAX)
    return [info async for info in listed]


async def wakes(ws_url: SecretUrl, program: Pubkey) -> AsyncGenerator[None, None]:
    """One item whenever something happened to `program`, or may have while the connection was down."""
    async for _ in Subscriptions(ws_url).logs(program):
        yield None
