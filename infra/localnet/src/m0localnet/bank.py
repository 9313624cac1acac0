"""
The bank: the running slot, the slots on their way to finality, and the rules a transaction must pass to land.

Slot *n* is worked on until it is frozen; it is confirmed once slot *n+1* has ended and it is on disk, and finalized
once ``finality_slots`` have ended after it. Looking at an older state undoes the account changes of the slots after it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from m0common.clock import Clock
from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from m0localnet import execution, message, sanity
from m0localnet.blockhashes import MAX_AGE_SLOTS, BlockhashQueue
from m0localnet.clock import ChainClock
from m0localnet.commitment import Commitment
from m0localnet.errors import AccountRefused, node_unhealthy
from m0localnet.overlay import Overlay
from m0localnet.recent import STATUS_SLOTS, RecentFees, RecentStatuses, Status
from m0localnet.records import BlockRecord
from m0localnet.slot import Slot
from m0localnet.store import Batch, State, Store
from m0localnet.vm import CLOCK, SLOT_HASHES_KEPT, SLOTS_PER_EPOCH, UPGRADEABLE_LOADER, Outcome, Vm
from m0localnet.watcher import Guarded, Watcher

CONFIRMATION_SLOTS: Final = 1
WARP_BLOCKS: Final = 2 * MAX_AGE_SLOTS
"""A warp leaves so many of its slots with a block; the others are as if their empty blocks had been dropped already."""

_log: Final = structlog.get_logger(__name__)


class Bank:
    """
    The chain's present and recent past. ``clock`` is the machine's.

    Not thread-safe: everything but :meth:`Store.commit` runs on the event loop.
    """

    def __init__(self, vm: Vm, store: Store, state: State, clock: Clock, finality_slots: int) -> None:
        self.vm = vm
        self.store = store
        self.clock = ChainClock(clock, state.clock_offset * 1000 + state.clock_offset_ms)
        self._written_offset_ms = self.clock.offset_ms
        self.transaction_count = state.transactions
        self.blockhashes = BlockhashQueue()
        self.confirmed = self.finalized = state.slot
        self.halted: str | None = None
        self._watcher: Watcher | None = None
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

    def watch(self, watcher: Watcher) -> None:
        """Tell ``watcher`` of the chain from now on, instead of the one before."""
        self._watcher = Guarded(watcher)

    def move_clock(self, ms: int) -> None:
        """Shift the chain's time from now on; the running slot's clock follows at once."""
        self.clock.move(ms)
        self.vm.set_unix_time(self.clock.unix_time())

    def warp(self, ms: int, slots: int, let_pass: Callable[[int], None]) -> None:
        """
        Let ``ms`` milliseconds and ``slots`` slots pass at once, which ``let_pass`` does to the chain's clock.

        The running slot ends as ever. When there are more than :data:`WARP_BLOCKS`, those after it have no block.
        """
        jump = max(slots - WARP_BLOCKS, 0)
        steps = [1] * min(slots, WARP_BLOCKS)
        if jump:
            steps[1] += jump
        ended = passed = 0
        for step in steps:
            ended += step
            due = ms * ended // slots
            let_pass(due - passed)
            passed = due
            self.freeze(step)
        if not slots:
            let_pass(ms)
        self.vm.set_unix_time(self.clock.unix_time())

    def _begin(self, number: int, parent: int, parent_hash: bytes) -> Slot:
        slot = Slot(number, self.clock.unix_time(), parent, parent_hash)
        self.clock.advance_to(slot.time)
        slot.before[CLOCK] = self.vm.get(CLOCK)
        self.vm.begin_slot(number, slot.time, (parent, Hash(parent_hash)))
        return slot

    def freeze(self, step: int = 1) -> None:
        """End the running slot and begin the one ``step`` after; deferred transactions are executed first in it."""
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
        self.overlay.running = self._begin(slot.number + step, slot.number, blockhash)
        if self._watcher:
            self._watcher.slot_started(self.running.number, slot.number, self.finalized)
            self._watcher.reached(Commitment.PROCESSED, slot)
        deferred, self._deferred = self._deferred, []
        for tx in deferred:
            self.process(tx)

    # ---- durability and commitment

    def unwritten(self, idle_slots: int) -> Batch | None:
        """Return what to write now: everything once a transaction waits or ``idle_slots`` empty slots piled up."""
        moved = self.clock.offset_ms != self._written_offset_ms
        urgent = moved or any(slot.eventful for slot in self._unwritten)
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
            self.clock.offset_ms // 1000,
            self.clock.offset_ms % 1000,
        )
        batch = Batch(state)
        for slot in self._unwritten:
            assert slot.block is not None
            batch.blocks.append(slot.block)
            batch.transactions.extend(slot.landed)
            batch.accounts.update(slot.after)
        batch.accounts.pop(CLOCK, None)
        _log.debug("ledger write", slot=last.number, slots=len(batch.blocks), transactions=pending)
        return batch

    def written(self, state: State) -> None:
        """Note that ``state`` and every slot up to its own are on disk."""
        self._written_offset_ms = state.clock_offset * 1000 + state.clock_offset_ms
        self._unwritten = [waiting for waiting in self._unwritten if waiting.number > state.slot]

    def advance_commitment(self) -> None:
        """Advance confirmed and finalized as far as ended slots and the disk allow, telling the watcher."""
        unsafe = next((slot.number for slot in self._unwritten if slot.eventful), None)
        ended = self.running.number - 1
        target = ended - CONFIRMATION_SLOTS
        if unsafe is not None:
            target = min(target, unsafe - 1)
        for slot in list(self._unfinalized):
            if self.confirmed < slot.number <= target:
                self.confirmed = slot.number
                if self._watcher:
                    self._watcher.reached(Commitment.CONFIRMED, slot)
        root = min(self.confirmed, ended - self._finality_slots)
        while self._unfinalized and self._unfinalized[0].number <= root:
            slot = self._unfinalized.popleft()
            self.finalized = slot.number
            if self._watcher:
                self._watcher.reached(Commitment.FINALIZED, slot)

    def slot_at(self, level: Commitment) -> int:
        """Return the newest slot at a level of commitment."""
        return (self.running.number, self.confirmed, self.finalized)[level]

    def pending_block(self, slot: int) -> BlockRecord | None:
        """Return a frozen block that may not be on disk yet."""
        return next((s.block for s in self._unwritten if s.number == slot), None)

    def pending_slots(self) -> list[int]:
        """Return the frozen slots that may not be on disk yet, ascending."""
        return [slot.number for slot in self._unwritten]

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
        return None if self._nonce_usable(tx, slot) else "BlockhashNotFound"

    def _nonce_usable(self, tx: VersionedTransaction, slot: int) -> bool:
        # Only whoever may advance a nonce can use it, or anybody could use it up by a transaction that fails.
        account = self.nonce_of(tx, slot)
        return (
            account is not None
            and message.nonce_authorized(tx, account)
            and bytes(tx.message.recent_blockhash) != self.vm.next_nonce()
        )

    def nonce_of(self, tx: VersionedTransaction, slot: int) -> Account | None:
        """Return the nonce account whose value ``tx`` has in place of a blockhash, seen from ``slot``."""
        nonce = message.nonce_account(tx)
        account = self.account(nonce, slot) if nonce is not None else None
        return account if message.nonce_matches(account, bytes(tx.message.recent_blockhash)) else None

    def simulate(self, tx: VersionedTransaction, slot: int) -> Outcome:
        """Run ``tx`` against the state at ``slot`` without keeping anything. No check of signatures or blockhash."""
        try:
            keys = message.resolve_keys(tx, lambda key: self.account(key, slot)).all
        except message.TableError as error:
            return Outcome(error.name, landed=False, fee=0)
        changed = self.overlay.changed_since(slot) if slot < self.running.number else {}
        past = {key: changed[key] for key in keys if key in changed and key != CLOCK}
        return execution.simulate(self.vm, tx, past)

    def submit(self, tx: VersionedTransaction) -> None:
        """Take a transaction from a client; raises :class:`RpcError` while the ledger cannot be written."""
        if self.halted:
            raise node_unhealthy(self.halted)
        if self._watcher:
            self._watcher.received(bytes(tx.signatures[0]))
        self.process(tx)

    def process(self, tx: VersionedTransaction) -> str | None:
        """
        Execute ``tx`` in the running slot; returns why it was dropped, None when it landed or waits its turn.

        Raises nothing: a transaction over which this node fails is dropped like any other, and has changed nothing.
        """
        try:
            dropped = self._process(tx)
        except Exception as error:  # noqa: BLE001 - whatever fails in one transaction must not take the node down
            signature = str(tx.signatures[0]) if tx.signatures else None
            _log.exception("transaction refused by a fault of this node", signature=signature)
            return f"{type(error).__name__}: {error}"
        if dropped:
            _log.info("transaction dropped", signature=str(tx.signatures[0]), reason=dropped)
        return dropped

    def _process(self, tx: VersionedTransaction) -> str | None:
        refused = sanity.refusal(tx)
        if refused is not None:
            return str(refused)
        if not all(tx.verify_with_results()):
            return "SignatureFailure"
        unusable = self.check(tx, self.running.number)
        if unusable:
            return unusable
        try:
            keys = message.resolve_keys(tx, self.vm.get)
        except message.TableError as error:
            return error.name
        # A program's new code is seen from the next slot on.
        if not self.running.code.isdisjoint(keys.all) and UPGRADEABLE_LOADER not in keys.all:
            self._deferred.append(tx)
            return None
        landed = execution.execute(self.vm, tx, keys, self.running)
        if isinstance(landed, str):
            return landed
        record = landed.record
        self.running.landed.append(landed)
        self.statuses.add(record.signature, Status(record.slot, record.err))
        self.transaction_count += 1
        if self._watcher:
            self._watcher.landed(landed)
        return None

    def set_accounts(self, accounts: Mapping[Pubkey, Account | None]) -> None:
        """
        Put accounts into the running slot from outside of the chain, or (None) take them out.

        A program comes with its program data; it is seen from the next slot on. Raises :class:`AccountRefused` when
        the virtual machine does not take one of them; nothing has changed then.
        """
        before = {key: self.vm.get(key) for key in accounts}
        try:
            self.vm.load(accounts)
        except AccountRefused:
            self.vm.reset(before)
            raise
        self.running.edited = True
        execution.note_changes(self.vm, self.running, before, accounts)
