"""A chain inside of one process, whose time passes when a test says so: no slot loop, and sockets only if asked for."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from m0common.clock import ManualClock
from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from m0localnet.errors import AccountRefused
from m0localnet.fixtures import Fixtures
from m0localnet.node import Node, NodeConfig
from m0localnet.rpc.dispatch import answer
from m0localnet.server import listen, serving

_LOOPBACK: Final = "127.0.0.1"


class InProcess:
    """
    A node on a clock that somebody else holds too, such as the code under test; both see the same time.

    ``ledger`` keeps the chain, as that of a node by itself; ``slot_ms`` is the length of a slot. It is a context
    manager. Raises :class:`~m0localnet.errors.LocalnetError` when the ledger or a fixture cannot be used.
    """

    def __init__(
        self,
        ledger: Path,
        clock: ManualClock,
        *,
        slot_ms: int = 400,
        finality_slots: int = 8,
        fixtures: Fixtures | None = None,
    ) -> None:
        self.clock = clock
        config = NodeConfig(ledger, slot_ms, finality_slots, allow_admin=True, fixtures=fixtures or Fixtures())
        self.node = Node(config, clock)
        self._slot_ms = slot_ms
        self._rest_ms = 0  # of the running slot, that has passed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Write the last slots and give the ledger free."""
        self.node.close()

    # ---- time

    def advance(self, ms: int) -> None:
        """Let ``ms`` milliseconds pass on the clock and the chain: a slot for each slot length since the first call."""
        slots, self._rest_ms = divmod(self._rest_ms + ms, self._slot_ms)
        self.node.warp(ms, slots, self.clock.advance)

    def end_slot(self) -> None:
        """Let time pass until the running slot has ended."""
        self.advance(self._slot_ms - self._rest_ms)

    # ---- state

    def set_accounts(self, accounts: Mapping[Pubkey, Account | None]) -> None:
        """Set accounts in the running slot, None takes one out; raises :class:`AccountRefused`, changing nothing."""
        self.node.bank.set_accounts(accounts)

    def fund(self, address: Pubkey, lamports: int = 10**12) -> None:
        """Give an address so many lamports, whatever it had."""
        self.set_accounts({address: Account(lamports, b"", Pubkey.default())})

    def account(self, address: Pubkey) -> Account | None:
        """Return an account as it is in the running slot."""
        return self.node.bank.vm.get(address)

    # ---- requests

    def call(self, method: str, *params: Any) -> Any:
        """Return the whole answer to a JSON-RPC request."""
        return answer(self.node, {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})

    def blockhash(self) -> Hash:
        """Return the newest blockhash."""
        return Hash(self.node.bank.blockhashes.at(self.node.bank.running.number))

    def process(self, tx: VersionedTransaction) -> str | None:
        """Execute a transaction in the running slot; returns why it was dropped, None when it landed or waits."""
        return self.node.bank.process(tx)

    @contextlib.asynccontextmanager
    async def served(self, rpc_port: int = 0, ws_port: int = 0) -> AsyncIterator[tuple[str, str]]:
        """Answer on loopback, on free ports unless told; yields the addresses of JSON-RPC and PubSub."""
        rpc, ws = listen(_LOOPBACK, rpc_port, "rpc_port"), listen(_LOOPBACK, ws_port, "ws_port")
        async with serving(self.node, rpc, ws):
            addresses = [f"{_LOOPBACK}:{each.getsockname()[1]}" for each in (rpc, ws)]
            yield f"http://{addresses[0]}", f"ws://{addresses[1]}"


__all__ = ["AccountRefused", "Fixtures", "InProcess"]
