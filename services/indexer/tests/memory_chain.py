"""The indexer's port over a ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from index_scene import Ledger
from m0_indexer.chain import Listing
from m0chain import RpcRejected, accounts, pda
from m0chain.rpc import SignatureInfo, TransactionRecord
from m0common.errors import Unavailable
from m0index.tables.history import Cursor
from solders.pubkey import Pubkey


@dataclass(slots=True)
class MemoryChain(Ledger):
    """A node that has the ledger's transactions, the accounts it is given, and its bad days."""

    market_accounts: list[accounts.Market] = field(default_factory=list)
    epoch_accounts: list[accounts.Epoch] = field(default_factory=list)
    down: bool = False
    refused: set[str] = field(default_factory=set)
    """methods of the port that the node has not got"""
    hash: str = "genesis"
    listed_max: int = 1 << 62
    fetched: list[str] = field(default_factory=list)
    asked: list[bytes] = field(default_factory=list)
    """parts of the markets"""
    whole: int = 0
    """markets given whole"""
    _markets: dict[Pubkey, accounts.Market] = field(default_factory=dict)
    _epochs: dict[Pubkey, accounts.Epoch] = field(default_factory=dict)

    def _up(self, method: str) -> None:
        if self.down:
            raise Unavailable("the node is down")
        if method in self.refused:
            raise RpcRejected(f"the node refuses {method}: not here", -32010)

    async def listing(self, program: Pubkey, since: Cursor | None) -> Listing:
        self._up("listing")
        mine = [each for each in self.landed if program in each.record.programs]
        names = [each.record.signature for each in mine]
        mine = mine[names.index(since.signature) + 1 :] if since is not None else mine
        infos = [
            (SignatureInfo(e.record.signature, e.record.slot, e.record.block_time_s, e.record.error), e.final)
            for e in mine
        ]
        final = [info for info, final in infos if final]
        if len(final) >= self.listed_max:
            return Listing(final[: self.listed_max], [], whole=False)
        confirmed = [info for info, final in infos if not final]
        return Listing(final, confirmed[: self.listed_max], whole=len(confirmed) < self.listed_max)

    async def transaction(self, signature: str) -> TransactionRecord | None:
        self._up("transaction")
        self.fetched.append(signature)
        return next((each.record for each in self.landed if each.record.signature == signature), None)

    async def vanished(self, slots: Mapping[str, int]) -> list[str]:
        self._up("vanished")
        known, final = {each.record.signature for each in self.landed}, await self.slot()
        return [signature for signature, slot in slots.items() if signature not in known and slot <= final]

    async def genesis(self) -> str:
        self._up("genesis")
        return self.hash

    async def slot(self) -> int:
        self._up("slot")
        return self.final_slot

    async def market_heads(self, registry: Pubkey, digit: bytes) -> dict[Pubkey, accounts.MarketHead]:
        self._up("markets")
        self.asked.append(digit)
        self._markets = {pda.market(registry, each.market_id): each for each in self.market_accounts}
        return {
            address: accounts.MarketHead(each.market_key, each.state, each.resolution if each.resolved else None)
            for address, each in self._markets.items()
            if each.market_key.startswith(digit)
        }

    async def epoch_addresses(self, oracle: Pubkey, digit: bytes) -> list[Pubkey]:
        self._up("epochs")
        self._epochs = {pda.epoch(oracle, each.catalog, each.epoch_id): each for each in self.epoch_accounts}
        return [at for at, each in self._epochs.items() if each.epoch_id.to_bytes(8, "little").startswith(digit)]

    async def markets(self, addresses: Sequence[Pubkey]) -> list[accounts.Market]:
        self._up("markets")
        self.whole += len(addresses)
        return [self._markets[address] for address in addresses]

    async def epochs(self, addresses: Sequence[Pubkey]) -> list[accounts.Epoch]:
        self._up("epochs")
        return [self._epochs[address] for address in addresses]
