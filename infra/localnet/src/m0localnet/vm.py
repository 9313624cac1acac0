"""The virtual machine: LiteSVM without the checks that belong to the node around it (signatures, blockhash age)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec
from solders.account import Account
from solders.clock import Clock
from solders.epoch_schedule import EpochSchedule
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.message import MessageV0, MessageV1
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, SimulatedTransactionInfo, TransactionMetadata

from m0localnet.errors import AccountRefused, LocalnetError
from m0localnet.message import RECENT_BLOCKHASHES, with_blockhash
from m0localnet.records import Inner
from m0localnet.tokens import TOKEN_PROGRAM

SLOTS_PER_EPOCH: Final = 432_000
SLOT_HASHES_KEPT: Final = 512
LOG_BYTES_LIMIT: Final = 10_000
CLOCK: Final = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
UPGRADEABLE_LOADER: Final = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
SYSVAR_OWNER: Final = Pubkey.from_string("Sysvar1111111111111111111111111111111111111")
NATIVE_MINT: Final = Pubkey.from_string("So11111111111111111111111111111111111111112")
LAMPORTS_PER_SIGNATURE: Final = 5_000
# As at the genesis of a real node: nobody may mint it, nothing is supplied, 9 decimals, initialized.
_WRAPPED_SOL: Final = Account(10**9, bytes(44) + bytes([9, 1]) + bytes(36), TOKEN_PROGRAM)
_PRECOMPILES: Final = frozenset(
    {
        Pubkey.from_string("Ed25519SigVerify111111111111111111111111111"),
        Pubkey.from_string("KeccakSecp256k11111111111111111111111111111"),
        Pubkey.from_string("Secp256r1SigVerify1111111111111111111111111"),
    }
)
_NO_SIGNATURE: Final = Signature.default()
_ANY_SIGNATURE: Final = Signature(bytes([1] * 64))
_EMPTY: Final = Account(0, b"", Pubkey.default())
# Errors of loading a program: the transaction lands, pays its fee and does nothing else (SIMD-0082).
_FEE_ONLY: Final = frozenset({"ProgramAccountNotFound", "InvalidProgramForExecution"})


class VmFault(LocalnetError):
    """The virtual machine broke down over a transaction; the message says where."""


@dataclass(slots=True)
class Outcome:
    """What executing a transaction came to; ``err`` is the JSON form of the transaction error, None on success."""

    err: Any
    landed: bool
    fee: int
    units: int = 0
    logs: list[str] | None = None
    inner: list[tuple[int, list[Inner]]] | None = None
    return_data: tuple[bytes, bytes] | None = None
    post: dict[Pubkey, Account] = field(default_factory=dict)


def _inner(meta: TransactionMetadata) -> list[tuple[int, list[Inner]]]:
    out = []
    for index, group in enumerate(meta.inner_instructions()):
        calls = []
        for call in group:
            ix = call.instruction()
            calls.append(Inner(ix.program_id_index, bytes(ix.accounts), bytes(ix.data), call.stack_height() or 2))
        if calls:
            out.append((index, calls))
    return out


def _loading_order(accounts: Iterable[tuple[Pubkey, Account]]) -> list[tuple[Pubkey, Account]]:
    return sorted(accounts, key=lambda row: (row[1].executable, row[1].owner == UPGRADEABLE_LOADER))


_Result = TypeVar("_Result")


def _run(call: Callable[[VersionedTransaction], _Result], tx: VersionedTransaction) -> _Result:
    try:
        return call(tx)
    except BaseException as error:
        # A panic of the Rust side is no Exception, and has no class that could be named here.
        if type(error).__name__ != "PanicException":
            raise
        raise VmFault(f"the virtual machine panicked: {error}") from error


def _signatures(tx: VersionedTransaction) -> int:
    message = tx.message
    checked = (
        bytes(ix.data)[:1] for ix in message.instructions if message.account_keys[ix.program_id_index] in _PRECOMPILES
    )
    return message.header.num_required_signatures + sum(first[0] for first in checked if first)


class Vm:
    """
    One LiteSVM with its accounts.

    It neither checks signatures nor blockhashes nor duplicates: the bank does, against its own queue and history.
    """

    def __init__(self) -> None:
        self._svm = (
            LiteSVM()
            .with_sigverify(False)
            .with_blockhash_check(False)
            .with_transaction_history(0)
            .with_log_bytes_limit(LOG_BYTES_LIMIT)
        )
        self._svm.set_epoch_schedule(EpochSchedule.without_warmup())
        self._svm.set_account(self._svm.airdrop_pubkey(), _EMPTY)
        self._slot_hashes: list[tuple[int, Hash]] = []
        self._hashes_stale = False
        self._epoch = 0
        self._epoch_start = 0
        self._blockhash = Hash.default()  # the newest one, from which durable nonces derive
        self._svm.set_account(NATIVE_MINT, _WRAPPED_SOL)

    # ---- accounts

    def get(self, key: Pubkey) -> Account | None:
        """Return an account of the present state; an account without lamports does not exist."""
        account = self._svm.get_account(key)
        return account if account is not None and account.lamports else None

    def balance(self, key: Pubkey) -> int:
        """Return the lamports of an account, 0 when there is none."""
        return self._svm.get_balance(key) or 0

    def put(self, key: Pubkey, account: Account | None) -> None:
        """Set or (None) remove an account."""
        self._svm.set_account(key, account or _EMPTY)

    def owned_by(self, owner: Pubkey) -> list[tuple[Pubkey, Account]]:
        """Return the accounts that ``owner`` owns in the present state."""
        return [(key, account) for key, account in self._svm.get_program_accounts(owner) if account.lamports]

    def restore(self, accounts: list[tuple[Pubkey, Account]]) -> None:
        """Put stored accounts back: data first, then program data, then programs, which load their code when set."""
        for key, account in _loading_order(accounts):
            self._svm.set_account(key, account)

    def load(self, accounts: Mapping[Pubkey, Account | None]) -> None:
        """
        Set accounts that come from outside of the chain, program data before programs; None removes one.

        Raises :class:`AccountRefused` at the first that cannot be: those before it have been set.
        """
        present = [(key, account) for key, account in accounts.items() if account is not None]
        for key, account in accounts.items():
            if account is None:
                self.put(key, None)
        for key, account in _loading_order(present):
            if account.owner == SYSVAR_OWNER:
                raise AccountRefused(key, "it is a sysvar, which the chain keeps itself")
            if not account.lamports:
                raise AccountRefused(key, "it has no lamports: an account without any does not exist")
            try:
                self._svm.set_account(key, account)
            except Exception as error:  # its class cannot be imported
                raise AccountRefused(key, f"the virtual machine says: {error}") from error

    def reset(self, accounts: Mapping[Pubkey, Account | None]) -> None:
        """Set accounts to what they were, where they are something else; None removes one."""
        changed = {key: account for key, account in accounts.items() if self.get(key) != account}
        for key, account in changed.items():
            if account is None:
                self.put(key, None)
        self.restore([(key, account) for key, account in changed.items() if account is not None])

    # ---- time

    def resume(self, epoch: int, epoch_start: int, slot_hashes: list[tuple[int, Hash]]) -> None:
        """Tell a new VM when its epoch began (unix time in seconds) and the recent slot hashes, newest first."""
        self._epoch, self._epoch_start = epoch, epoch_start
        self._slot_hashes = slot_hashes[:SLOT_HASHES_KEPT]
        self._hashes_stale = True

    def begin_slot(self, slot: int, unix_time: int, parent: tuple[int, Hash] | None) -> None:
        """Set the clock for ``slot`` (unix time in seconds) and remember the parent's hash."""
        epoch = slot // SLOTS_PER_EPOCH
        if epoch != self._epoch or not self._epoch_start:
            self._epoch, self._epoch_start = epoch, unix_time
        self._svm.set_clock(Clock(slot, self._epoch_start, epoch, epoch + 1, unix_time))
        if parent is not None:
            self._slot_hashes.insert(0, parent)
            del self._slot_hashes[SLOT_HASHES_KEPT:]
            self._hashes_stale = True
            self._blockhash = parent[1]

    def set_unix_time(self, unix_time: int) -> None:
        """Move the clock inside the running slot."""
        clock = self._svm.get_clock()
        clock.unix_timestamp = unix_time
        self._svm.set_clock(clock)

    def next_nonce(self) -> bytes:
        """Return the durable nonce (32 bytes) that an account advanced in the running slot receives."""
        return hashlib.sha256(b"DURABLE_NONCE" + bytes(self._blockhash)).digest()

    # ---- execution

    def _prepare(self, tx: VersionedTransaction) -> VersionedTransaction:
        # Costs 120 µs, so only slots that execute something pay for it.
        if self._hashes_stale:
            self._svm.set_slot_hashes(self._slot_hashes)
            self._hashes_stale = False
        message = tx.message
        if isinstance(message, MessageV1):
            return tx
        looked_up = isinstance(message, MessageV0) and message.address_table_lookups
        if looked_up or RECENT_BLOCKHASHES in message.account_keys:
            # LiteSVM derives durable nonces from the blockhash of the transaction, a cluster from that of the slot.
            return VersionedTransaction.populate(with_blockhash(message, self._blockhash), tx.signatures)
        return tx

    def execute(self, tx: VersionedTransaction) -> Outcome:
        """
        Run ``tx`` and keep its effects; a transaction that did not land changed nothing.

        Raises :class:`VmFault` when the machine broke down over it; what it had written is the caller's to undo.
        """
        outcome = self._outcome(_run(self._svm.send_transaction, self._prepare(tx)), tx)
        if outcome.landed and outcome.logs is None:
            self._charge(tx.message.account_keys[0], outcome.fee)
        return outcome

    def simulate(self, tx: VersionedTransaction) -> Outcome:
        """
        Run ``tx`` on the present state and throw its effects away; ``post`` holds the accounts it would leave.

        Raises :class:`VmFault` when the machine broke down over it.
        """
        if tx.signatures[0] == _NO_SIGNATURE:
            # nobody signs what is only simulated, and by its signature a result says that it ran
            tx = VersionedTransaction.populate(tx.message, [_ANY_SIGNATURE] * len(tx.signatures))
        return self._outcome(_run(self._svm.simulate_transaction, self._prepare(tx)), tx)

    def _outcome(
        self,
        result: TransactionMetadata | FailedTransactionMetadata | SimulatedTransactionInfo,
        tx: VersionedTransaction,
    ) -> Outcome:
        err: Any = None
        post: dict[Pubkey, Account] = {}
        if isinstance(result, FailedTransactionMetadata):
            err = msgspec.json.decode(result.to_json())["err"]
            meta = result.meta()
        elif isinstance(result, SimulatedTransactionInfo):
            meta = result.meta()
            post = dict(result.post_accounts())
        else:
            meta = result
        if err is not None and meta.signature() == _NO_SIGNATURE:
            if err == "InvalidProgramForExecution" and any(
                self.get(tx.message.account_keys[ix.program_id_index]) is None for ix in tx.message.instructions
            ):
                err = "ProgramAccountNotFound"
            return Outcome(err, landed=isinstance(err, str) and err in _FEE_ONLY, fee=meta.fee())
        returned = meta.return_data()
        data = bytes(returned.data)
        return Outcome(
            err,
            landed=True,
            fee=meta.fee(),
            units=meta.compute_units_consumed(),
            logs=meta.logs(),
            inner=_inner(meta),
            return_data=(bytes(returned.program_id), data) if data else None,
            post=post,
        )

    def _charge(self, payer: Pubkey, lamports: int) -> None:
        account = self.get(payer)
        if account is None:
            return
        left = max(account.lamports - lamports, 0)
        self.put(payer, Account(left, account.data, account.owner, account.executable, account.rent_epoch))

    def fee(self, tx: VersionedTransaction) -> int:
        """
        Return the fee in lamports that ``tx`` would pay: signatures (of precompiles too) and priority.

        A transaction that is refused before its fee is known is told that of its signatures.
        """
        return self.simulate(tx).fee or LAMPORTS_PER_SIGNATURE * _signatures(tx)

    def rent_exempt_minimum(self, data_bytes: int) -> int:
        """Return the lamports that keep an account of ``data_bytes`` rent-exempt."""
        return self._svm.minimum_balance_for_rent_exemption(data_bytes)
