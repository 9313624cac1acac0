"""The node: a ledger opened or created, the bank on top of it, and the clock that makes slots pass."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from m0common.clock import Clock
from solders.account import Account
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from m0localnet.bank import Bank
from m0localnet.errors import LedgerError
from m0localnet.fixtures import Fixtures
from m0localnet.records import BlockRecord
from m0localnet.store import Batch, Genesis, State, Store
from m0localnet.vm import Vm

LAMPORTS_PER_SOL: Final = 10**9
FAUCET_LAMPORTS: Final = 500_000_000 * LAMPORTS_PER_SOL
IDENTITY_LAMPORTS: Final = 500 * LAMPORTS_PER_SOL
IDLE_SLOTS_PER_WRITE: Final = 25

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """
    ``slot_ms``: length of a slot; ``finality_slots``: ended slots after which a slot is final.

    ``fixtures``: what a new chain begins with besides faucet and identity; a chain that exists has its own accounts.
    """

    ledger: Path
    slot_ms: int = 400
    finality_slots: int = 8
    allow_admin: bool = False
    fixtures: Fixtures = field(default_factory=Fixtures)


class Node:
    """A running chain. ``clock`` is the machine's; tests pass their own."""

    def __init__(self, config: NodeConfig, clock: Clock) -> None:
        self.config = config
        self.store = Store(config.ledger)
        try:
            self._open(clock)
        except BaseException:
            self.store.close()
            raise
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="ledger")

    def _open(self, clock: Clock) -> None:
        vm = Vm()
        genesis = self.store.genesis()
        if genesis is None:
            genesis = self._create(vm, clock.now_ms() // 1000)
        else:
            vm.restore(list(self.store.accounts()))
            if self.config.fixtures.accounts:
                _log.info("chain exists, accounts and programs named at the start are not set again")
        state = self.store.state()
        if state is None:
            raise LedgerError(f"the ledger {self.config.ledger} is incomplete; move the directory away to start anew")
        self.genesis = genesis
        self.faucet = Keypair.from_bytes(genesis.faucet)
        self.identity = Keypair.from_bytes(genesis.identity).pubkey()
        self.bank = Bank(vm, self.store, state, clock, self.config.finality_slots)
        self._catch_up(state)

    def _create(self, vm: Vm, now: int) -> Genesis:
        faucet, identity = Keypair(), Keypair()
        genesis = Genesis(os.urandom(32), bytes(faucet), bytes(identity), now)
        accounts: dict[Pubkey, Account | None] = {
            faucet.pubkey(): Account(FAUCET_LAMPORTS, b"", Pubkey.default()),
            identity.pubkey(): Account(IDENTITY_LAMPORTS, b"", Pubkey.default()),
        }
        for key, account in accounts.items():
            vm.put(key, account)
        self.config.fixtures.load(vm)
        accounts |= self.config.fixtures.accounts
        first = BlockRecord(0, 0, genesis.hash, genesis.hash, now, 0)
        self.store.create(genesis, Batch(State(0, genesis.hash, 0, 0), [first], [], accounts))
        _log.info("new chain", ledger=str(self.config.ledger))
        return genesis

    def _catch_up(self, state: State) -> None:
        # Empty slots are written in groups; a killed node passes through the lost ones again, and because an empty
        # slot's hash follows from its parent alone, blockhashes that clients hold stay good.
        if state.slot == 0:
            return
        for _ in range(IDLE_SLOTS_PER_WRITE + 2):
            self.bank.freeze()
        self._write_now()

    def _write_now(self) -> None:
        batch = self.bank.unwritten(1)
        if batch is not None:
            self.store.commit(batch)
            self.bank.written(batch.state)
        self.bank.advance_commitment()

    async def run(self, stop: asyncio.Event) -> None:
        """Let slots pass until ``stop`` is set, then write what is left."""
        loop = asyncio.get_running_loop()
        slot_seconds = self.config.slot_ms / 1000
        next_end = loop.time() + slot_seconds
        while not stop.is_set():
            try:
                async with asyncio.timeout(max(next_end - loop.time(), 0)):
                    await stop.wait()
                break
            except TimeoutError:
                pass
            next_end = max(next_end + slot_seconds, loop.time())
            await self._end_slot()

    async def _end_slot(self) -> None:
        self.bank.freeze()
        batch = self.bank.unwritten(IDLE_SLOTS_PER_WRITE)
        if batch is not None:
            with self._writing(batch.state):
                await asyncio.wrap_future(self._disk.submit(self.store.commit, batch))
        self.bank.advance_commitment()

    @contextlib.contextmanager
    def _writing(self, state: State) -> Iterator[None]:
        bank = self.bank
        try:
            yield
        except LedgerError as error:
            if bank.halted is None:
                _log.error("ledger not writable, transactions are refused", reason=str(error))
            bank.halted = str(error)
        else:
            bank.written(state)
            if bank.halted is not None:
                _log.warning("ledger writable again", slot=state.slot)
            bank.halted = None

    def warp(self, ms: int, slots: int | None = None, let_pass: Callable[[int], None] | None = None) -> None:
        """
        Let ``ms`` milliseconds of the chain pass at once, and ``slots`` slots: as many as begin in them otherwise.

        The slots are written and reach their commitment before this returns. ``let_pass`` moves the clock on by
        milliseconds; the chain's own is moved away from the machine's otherwise.
        """
        bank = self.bank
        bank.warp(ms, -(-ms // self.config.slot_ms) if slots is None else slots, let_pass or bank.clock.move)
        batch = bank.unwritten(1)
        if batch is not None:
            # after what is being written now: the disk has one thread
            with self._writing(batch.state):
                self._disk.submit(self.store.commit, batch).result()
        bank.advance_commitment()

    def close(self) -> None:
        """Write the last slots and give the ledger free."""
        self._disk.shutdown(wait=True)
        self.bank.freeze()
        try:
            self._write_now()
        except LedgerError as error:
            _log.error("last slots not written", reason=str(error))
        self.store.close()

    def airdrop(self, to: Pubkey, lamports: int) -> VersionedTransaction:
        """Return a signed transfer from the faucet, unlike every other one of the same amount."""
        faucet = self.faucet.pubkey()
        blockhash = Hash(self.bank.blockhashes.at(self.bank.running.number))
        pay = transfer(TransferParams(from_pubkey=faucet, to_pubkey=to, lamports=lamports))
        tx = VersionedTransaction(Message.new_with_blockhash([pay], faucet, blockhash), [self.faucet])
        units = 1000
        while self.bank.statuses.get(bytes(tx.signatures[0])) is not None:
            units += 1
            limited = [set_compute_unit_limit(units), pay]
            tx = VersionedTransaction(Message.new_with_blockhash(limited, faucet, blockhash), [self.faucet])
        return tx
