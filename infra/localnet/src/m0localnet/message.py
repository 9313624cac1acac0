"""Reading a transaction's message: account keys with their roles, lookup tables, nonces and memos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from solders.account import Account
from solders.hash import Hash
from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

LOOKUP_TABLE_PROGRAM: Final = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
RECENT_BLOCKHASHES: Final = Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111")
SYSTEM_PROGRAM: Final = Pubkey.default()
MEMO_PROGRAMS: Final = frozenset(
    {
        Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"),
        Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"),
    }
)
_TABLE_HEADER_BYTES: Final = 56
_NONCE_ACCOUNT_BYTES: Final = 80
_ADVANCE_NONCE: Final = b"\x04\x00\x00\x00"
_CURRENT_INITIALIZED: Final = b"\x01\x00\x00\x00\x01\x00\x00\x00"

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

    @property
    def written(self) -> list[Pubkey]:
        """The keys that the transaction may write."""
        return [key for key, flag in zip(self.all, self.writable, strict=True) if flag]


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


def with_blockhash(message: Message | MessageV0, blockhash: Hash) -> Message | MessageV0:
    """Return the message with another blockhash; its signatures are no longer good for it."""
    header, keys, instructions = message.header, message.account_keys, message.instructions
    if isinstance(message, Message):
        return Message.new_with_compiled_instructions(
            header.num_required_signatures,
            header.num_readonly_signed_accounts,
            header.num_readonly_unsigned_accounts,
            keys,
            blockhash,
            instructions,
        )
    return MessageV0(header, keys, blockhash, instructions, message.address_table_lookups)


def nonce_account(tx: VersionedTransaction) -> Pubkey | None:
    """
    Return the nonce account when the transaction starts by advancing a durable nonce.

    As the runtime has it: a static, writable account, whatever else the instruction names or lacks.
    """
    message = tx.message
    if not message.instructions:
        return None
    first, static = message.instructions[0], message.account_keys
    if static[first.program_id_index] != SYSTEM_PROGRAM or bytes(first.data)[:4] != _ADVANCE_NONCE:
        return None
    accounts = bytes(first.accounts)
    if not accounts or accounts[0] >= len(static) or not _static_writable(message, len(static))[accounts[0]]:
        return None
    return static[accounts[0]]


def nonce_matches(account: Account | None, blockhash: bytes) -> bool:
    """Tell whether ``account`` is an initialized nonce account that holds ``blockhash``."""
    if account is None or account.owner != SYSTEM_PROGRAM or len(account.data) != _NONCE_ACCOUNT_BYTES:
        return False
    return account.data[:8] == _CURRENT_INITIALIZED and account.data[40:72] == blockhash


def nonce_authorized(tx: VersionedTransaction, account: Account) -> bool:
    """Tell whether the authority of the nonce ``account`` signs the instruction that advances it."""
    message = tx.message
    signers = message.header.num_required_signatures
    named = (message.account_keys[index] for index in bytes(message.instructions[0].accounts) if index < signers)
    return any(bytes(key) == account.data[8:40] for key in named)


def memo_text(tx: VersionedTransaction) -> str | None:
    """Return the memos of a transaction as ``getSignaturesForAddress`` shows them: ``[length] text; …``."""
    static = tx.message.account_keys
    memos = [
        f"[{len(ix.data)}] {bytes(ix.data).decode('utf-8', 'replace')}"
        for ix in tx.message.instructions
        if ix.program_id_index < len(static) and static[ix.program_id_index] in MEMO_PROGRAMS
    ]
    return "; ".join(memos) or None
