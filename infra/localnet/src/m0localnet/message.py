"""Reading a transaction's message: account keys with their roles, lookup tables, nonces and memos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from solders.account import Account
from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

LOOKUP_TABLE_PROGRAM: Final = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
RECENT_BLOCKHASHES: Final = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")
SYSTEM_PROGRAM: Final = Pubkey.default()
COMPUTE_BUDGET_PROGRAM: Final = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
MEMO_PROGRAMS: Final = frozenset(
    {
        Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"),
        Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"),
    }
)
_TABLE_HEADER_BYTES: Final = 56
_NONCE_ACCOUNT_BYTES: Final = 80
_SET_PRICE_TAG: Final = 3

ReadAccount = Callable[[Pubkey], Account | None]


class TableError(Exception):
    """An address lookup table is missing, malformed or too short; ``name`` is the transaction error."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Keys:
    """All account keys of a transaction in index order: static ones, then loaded writable, then loaded readonly."""

    static: tuple[Pubkey, ...]
    loaded_writable: tuple[Pubkey, ...]
    loaded_readonly: tuple[Pubkey, ...]
    writable: tuple[bool, ...]
    signers: int

    @property
    def all(self) -> tuple[Pubkey, ...]:
        """Every key, in the order that instruction indices refer to."""
        return self.static + self.loaded_writable + self.loaded_readonly


def _static_writable(message: Message | MessageV0 | MessageV1, count: int) -> list[bool]:
    header = message.header
    signed, unsigned = header.num_required_signatures, count - header.num_required_signatures
    writable_signed = signed - header.num_readonly_signed_accounts
    writable_unsigned = unsigned - header.num_readonly_unsigned_accounts
    return [i < writable_signed if i < signed else i - signed < writable_unsigned for i in range(count)]


def resolve_keys(tx: VersionedTransaction, read: ReadAccount) -> Keys:
    """Return the account keys of ``tx`` with lookup tables read through ``read``; raises :class:`TableError`."""
    message = tx.message
    static = tuple(message.account_keys)
    writable = _static_writable(message, len(static))
    loaded_w: list[Pubkey] = []
    loaded_r: list[Pubkey] = []
    for lookup in getattr(message, "address_table_lookups", ()):
        table = read(lookup.account_key)
        if table is None:
            raise TableError("AddressLookupTableNotFound")
        if table.owner != LOOKUP_TABLE_PROGRAM:
            raise TableError("InvalidAddressLookupTableOwner")
        raw = table.data[_TABLE_HEADER_BYTES:]
        for indices, out in ((lookup.writable_indexes, loaded_w), (lookup.readonly_indexes, loaded_r)):
            for i in indices:
                key = raw[32 * i : 32 * i + 32]
                if len(key) < 32:
                    raise TableError("InvalidAddressLookupTableIndex")
                out.append(Pubkey(key))
    flags = (*writable, *(True for _ in loaded_w), *(False for _ in loaded_r))
    return Keys(static, tuple(loaded_w), tuple(loaded_r), flags, message.header.num_required_signatures)


def nonce_account(tx: VersionedTransaction) -> Pubkey | None:
    """Return the nonce account when the transaction starts by advancing a durable nonce."""
    if not tx.uses_durable_nonce():
        return None
    first = tx.message.instructions[0]
    return tx.message.account_keys[first.accounts[0]]


def nonce_matches(account: Account | None, blockhash: bytes) -> bool:
    """Tell whether ``account`` is an initialized nonce account that holds ``blockhash``."""
    if account is None or account.owner != SYSTEM_PROGRAM or len(account.data) != _NONCE_ACCOUNT_BYTES:
        return False
    return account.data[4:8] == b"\x01\x00\x00\x00" and account.data[40:72] == blockhash


def memo_text(tx: VersionedTransaction) -> str | None:
    """Return the memos of a transaction as ``getSignaturesForAddress`` shows them: ``[length] text; …``."""
    static = tx.message.account_keys
    memos = [
        f"[{len(ix.data)}] {bytes(ix.data).decode('utf-8', 'replace')}"
        for ix in tx.message.instructions
        if ix.program_id_index < len(static) and static[ix.program_id_index] in MEMO_PROGRAMS
    ]
    return "; ".join(memos) or None


def unit_price(tx: VersionedTransaction) -> int:
    """Return the priority price asked for by the transaction, in micro-lamports per compute unit."""
    static = tx.message.account_keys
    for ix in tx.message.instructions:
        data = bytes(ix.data)
        if static[ix.program_id_index] == COMPUTE_BUDGET_PROGRAM and len(data) == 9 and data[0] == _SET_PRICE_TAG:
            return int.from_bytes(data[1:], "little")
    return 0
