"""
The bank: the running slot, the slots on their way to finality, and the rules a transaction must pass to land.

Slot *n* is worked on until it is frozen; it is confirmed once slot *n+1* has ended and it is on disk, and finalized
once ``finality_slots`` have ended after it. Looking at an older state undoes the account changes of the slots after it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final, Protocol

import structlog
from m0common.clock import Clock
from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from m0localnet import message, tokens
from m0localnet.blockhashes import BlockhashQueue
from m0localnet.clock import ChainClock
from m0localnet.commitment import Commitment
from m0localnet.errors import node_unhealthy
from m0localnet.overlay import Overlay
from m0localnet.recent import STATUS_SLOTS, RecentFees, RecentStatuses, Status
from m0localnet.records import BlockRecord, TxRecord
from m0localnet.slot import Landed, Slot
from m0localnet.store import Batch, State, Store
from m0localnet.vm import CLOCK, SLOT_HASHES_KEPT, SLOTS_PER_EPOCH, UPGRADEABLE_LOADER, Outcome, Vm

CONFIRMATION_SLOTS: Final = 1
_PROGRAM_DATA: Final = b"\x03\x00\x00\x00"

_log: Final = structlog.get_logger(__name__)


class Watcher(Protocol):
    """What wants to know about the chain as it grows (the subscriptions)."""

    def received(self, signature: bytes) -> None:
        """A transaction reached the node."""

    def landed(self, landed: Landed) -> None:
        """A transaction was executed in the running slot."""

    def reached(self, level: Commitment, slot: Slot) -> None:
        """A slot reached a level of commitment."""

    def slot_started(self, slot: int, parent: int, root: int) -> None:
        """A new slot is being worked on."""


class Bank:
    """
    The chain's present and recent past. ``clock`` is the machine's.

    Not thread-safe: everything but :meth:`Store.commit` runs on the event loop.
    """

    def __init__(self, vm: Vm, store: Store, state: State, clock: Clock, finality_slots: int) -> None:
        self.vm = vm
        self.store = store
        self.clock = ChainClock(clock, state.clock_offset)
        self._written_offset = state.clock_offset
        self.transaction_count = state.transactions
        self.blockhashes = BlockhashQueue()
        self.confirmed = self.finalized = state.slot
        self.halted: str | None = None
        self.watcher: Watcher | None = None
        self._finality_slots = finality_slots
        self.statuses = RecentStatuses()
        self._unfinalized: deque[Slot] = deque()  # frozen, not finalized, oldest first
        self._unwritten: list[Slot] = []
        self._deferred: list[VersionedTransaction] = []
        self.fees = RecentFees()
        self._resume(state.slot)
        for record in store.transactions(max(state.slot - STATUS_SLOTS, 0), state.slot):
            self.statuses.add(record.signature, Status(record.slot, record.err))
        self.overlay = Overlay(vm, self._unfinalized, self._begin(state.slot + 1, state.slot, state.blockhash))

    def _resume(self, slot: int) -> None:
        blocks = self.store.last_blocks(max(2 * STATUS_SLOTS, SLOT_HASHES_KEPT + 1))
        for block in blocks:
            self.blockhashes.add(block.blockhash, block.slot)
            self.clock.advance_to(block.time)
        epoch = slot // SLOTS_PER_EPOCH
        first = self.store.block_from(epoch * SLOTS_PER_EPOCH)
        hashes = [(block.slot, Hash(block.blockhash)) for block in reversed(blocks[:-1])]
        self.vm.resume(epoch, first.time if first else self.clock.unix_time(), hashes)

    # ---- time and slots

    def move_clock(self, seconds: int) -> None:
        """Shift the chain's time from now on; the running slot's clock follows at once."""
        self.clock.move(seconds)
        self.vm.set_unix_time(self.clock.unix_time())

    def _begin(self, number: int, parent: int, parent_hash: bytes) -> Slot:
        slot = Slot(number, self.clock.unix_time(), parent, parent_hash)
        self.clock.advance_to(slot.time)
        slot.before[CLOCK] = self.vm.get(CLOCK)
        self.vm.begin_slot(number, slot.time, (parent, Hash(parent_hash)))
        return slot

    def freeze(self) -> None:
        """End the running slot and begin the next one; deferred transactions are executed first in it."""
        slot = self.running
        slot.after = {key: self.vm.get(key) for key in slot.before}
        digest = hashlib.sha256(slot.parent_hash + slot.number.to_bytes(8, "little"))
        for landed in slot.landed:
            digest.update(landed.record.signature)
        blockhash = digest.digest()
        slot.block = BlockRecord(slot.number, slot.parent, blockhash, slot.parent_hash, slot.time, len(slot.landed))
        self.blockhashes.add(blockhash, slot.number)
        self._unfinalized.append(slot)
        self._unwritten.append(slot)
        self.fees.add(slot.number, slot.landed)
        self.statuses.forget(slot.number)
        self.overlay.running = self._begin(slot.number + 1, slot.number, blockhash)
        if self.watcher:
            self.watcher.slot_started(self.running.number, slot.number, self.finalized)
            self.watcher.reached(Commitment.PROCESSED, slot)
        deferred, self._deferred = self._deferred, []
        for tx in deferred:
            self.process(tx)

    # ---- durability and commitment

    def unwritten(self, idle_slots: int) -> Batch | None:
        """Return what to write now: everything once a transaction waits or ``idle_slots`` empty slots piled up."""
        moved = self.clock.offset != self._written_offset
        urgent = moved or any(slot.landed for slot in self._unwritten)
        if not self._unwritten or (len(self._unwritten) < idle_slots and not urgent):
            return None
        last = self._unwritten[-1]
        assert last.block is not None
        pending = sum(len(slot.landed) for slot in self._unwritten)
        running = len(self.running.landed)
        state = State(
            last.number,
            last.block.blockhash,
            self.transaction_count - running,
            self.clock.offset,
            self.vm.nonce_advances,
        )
        batch = Batch(state)
        for slot in self._unwritten:
            assert slot.block is not None
            batch.blocks.append(slot.block)
            batch.transactions.extend((landed.record, landed.keys) for landed in slot.landed)
            batch.accounts.update(slot.after)
        batch.accounts.pop(CLOCK, None)
        _log.debug("ledger write", slot=last.number, slots=len(batch.blocks), transactions=pending)
        return batch

    def written(self, state: State) -> None:
        """Note that ``state`` and every slot up to its own are on disk."""
        self._written_offset = state.clock_offset
        self._unwritten = [waiting for waiting in self._unwritten if waiting.number > state.slot]

    def advance_commitment(self) -> None:
        """Advance confirmed and finalized as far as ended slots and the disk allow, telling the watcher."""
        unsafe = next((slot.number for slot in self._unwritten if slot.landed), None)
        ended = self.running.number - 1
        target = ended - CONFIRMATION_SLOTS
        if unsafe is not None:
            target = min(target, unsafe - 1)
        for slot in list(self._unfinalized):
            if self.confirmed < slot.number <= target:
                self.confirmed = slot.number
                if self.watcher:
                    self.watcher.reached(Commitment.CONFIRMED, slot)
        root = min(self.confirmed, ended - self._finality_slots)
        while self._unfinalized and self._unfinalized[0].number <= root:
            slot = self._unfinalized.popleft()
            self.finalized = slot.number
            if self.watcher:
                self.watcher.reached(Commitment.FINALIZED, slot)

    def slot_at(self, level: Commitment) -> int:
        """Return the newest slot at a level of commitment."""
        return (self.running.number, self.confirmed, self.finalized)[level]

    def pending_block(self, slot: int) -> BlockRecord | None:
        """Return a frozen block that may not be on disk yet."""
        return next((s.block for s in self._unwritten if s.number == slot), None)

    # ---- reading state

    def account(self, key: Pubkey, slot: int) -> Account | None:
        """Return an account as it was at the end of ``slot`` (the running slot: as it is now)."""
        return self.overlay.account(key, slot)

    def owned_by(self, owner: Pubkey, slot: int) -> list[tuple[Pubkey, Account]]:
        """Return the accounts owned by a program at the end of ``slot``, in key order."""
        return self.overlay.owned_by(owner, slot)

    @property
    def running(self) -> Slot:
        """The slot being worked on."""
        return self.overlay.running

    # ---- transactions

    def check(self, tx: VersionedTransaction, slot: int) -> str | None:
        """Return the error of a transaction whose blockhash or signature is unusable seen from ``slot``, else None."""
        if bytes(tx.signatures[0]) in self.statuses:
            return "AlreadyProcessed"
        frozen = min(slot, self.running.number - 1)
        blockhash = bytes(tx.message.recent_blockhash)
        if self.blockhashes.valid(blockhash, frozen):
            return None
        nonce = message.nonce_account(tx)
        if nonce is not None and message.nonce_matches(self.account(nonce, slot), blockhash):
            return None
        return "BlockhashNotFound"

    def simulate(self, tx: VersionedTransaction, slot: int) -> Outcome:
        """Run ``tx`` against the state at ``slot`` without keeping anything. No check of signatures or blockhash."""
        try:
            keys = message.resolve_keys(tx, lambda key: self.account(key, slot)).all
        except message.TableError as error:
            return Outcome(error.name, landed=False, fee=0)
        undone: list[tuple[Pubkey, Account | None]] = []
        if slot < self.running.number:
            changed = self.overlay.changed_since(slot)
            for key in keys:
                if key in changed and key != CLOCK:
                    present, past = self.vm.get(key), changed[key]
                    # Programs stay as they are: setting one would load its code again.
                    if not any(a is not None and a.owner == UPGRADEABLE_LOADER for a in (present, past)):
                        undone.append((key, present))
                        self.vm.put(key, past)
        try:
            return self.vm.simulate(tx)
        finally:
            for key, present in undone:
                self.vm.put(key, present)

    def submit(self, tx: VersionedTransaction) -> None:
        """Take a transaction from a client; raises :class:`RpcError` while the ledger cannot be written."""
        if self.halted:
            raise node_unhealthy(self.halted)
        if self.watcher:
            self.watcher.received(bytes(tx.signatures[0]))
        self.process(tx)

    def process(self, tx: VersionedTransaction) -> str | None:
        """Execute ``tx`` in the running slot; returns why it was dropped, None when it landed or waits its turn."""
        dropped = self._process(tx)
        if dropped:
            _log.info("transaction dropped", signature=str(tx.signatures[0]), reason=dropped)
        return dropped

    def _process(self, tx: VersionedTransaction) -> str | None:
        if not all(tx.verify_with_results()):
            return "SignatureFailure"
        unusable = self.check(tx, self.running.number)
        if unusable:
            return unusable
        try:
            keys = message.resolve_keys(tx, self.vm.get)
        except message.TableError as error:
            return error.name
        every = keys.all
        # A program's new code is seen from the next slot on.
        if not self.running.code.isdisjoint(every) and UPGRADEABLE_LOADER not in every:
            self._deferred.append(tx)
            return None
        if message.RECENT_BLOCKHASHES in every:
            self.vm.advance_nonces()
        writable = [key for key, flag in zip(every, keys.writable, strict=True) if flag]
        before = {key: self.vm.get(key) for key in writable}
        pre_balances = [self.vm.balance(key) for key in every]
        pre_tokens = tokens.balances(every, self.vm.get)
        outcome = self.vm.execute(tx)
        if not outcome.landed:
            return str(outcome.err)
        if outcome.err is not None:
            self._advance_nonce_of_failed(tx)
        self._note_changes(before, every)
        record = TxRecord(
            signature=bytes(tx.signatures[0]),
            slot=self.running.number,
            index=len(self.running.landed),
            wire=bytes(tx),
            err=outcome.err,
            fee=outcome.fee,
            pre_balances=pre_balances,
            post_balances=[self.vm.balance(key) for key in every],
            pre_tokens=pre_tokens,
            post_tokens=tokens.balances(every, self.vm.get),
            logs=outcome.logs,
            inner=outcome.inner,
            units=outcome.units,
            return_data=outcome.return_data,
            loaded_writable=[bytes(key) for key in keys.loaded_writable],
            loaded_readonly=[bytes(key) for key in keys.loaded_readonly],
            memo=message.memo_text(tx),
            price=message.unit_price(tx),
        )
        landed = Landed(record, frozenset(every), frozenset(writable))
        self.running.landed.append(landed)
        self.statuses.add(record.signature, Status(record.slot, record.err))
        self.transaction_count += 1
        if self.watcher:
            self.watcher.landed(landed)
        return None

    def _advance_nonce_of_failed(self, tx: VersionedTransaction) -> None:
        # A failed transaction still uses up its durable nonce, or it could be sent again.
        nonce = message.nonce_account(tx)
        blockhash = bytes(tx.message.recent_blockhash)
        account = self.vm.get(nonce) if nonce is not None else None
        if nonce is None or account is None or not message.nonce_matches(account, blockhash):
            return
        data = account.data[:40] + self.vm.next_nonce() + account.data[72:]
        self.vm.put(nonce, Account(account.lamports, data, account.owner, account.executable, account.rent_epoch))

    def _note_changes(self, before: dict[Pubkey, Account | None], every: tuple[Pubkey, ...]) -> None:
        code = False
        for key, old in before.items():
            new = self.vm.get(key)
            if new != old:
                self.running.before.setdefault(key, old)
                latest = new or old
                assert latest is not None
                code |= latest.owner == UPGRADEABLE_LOADER and latest.data[:4] == _PROGRAM_DATA
        if code:
            for key in every:
                account = self.vm.get(key)
                if account is not None and account.executable and account.owner == UPGRADEABLE_LOADER:
                    self.running.code.add(key)
