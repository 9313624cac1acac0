"""What the ledger keeps: blocks, transactions with their outcome, and accounts, in compact binary form."""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey

_ACCOUNT_HEAD: Final = struct.Struct("<QQB32s")  # lamports, rent_epoch, executable, owner; the data follows


class Inner(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """An instruction invoked by a program: indices point into the transaction's account keys."""

    program_index: int
    accounts: bytes
    data: bytes
    stack_height: int


class TokenBalance(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """The balance of a token account (``amount`` in base units) before or after a transaction."""

    account_index: int
    mint: bytes
    owner: bytes
    program: bytes
    amount: int
    decimals: int


class TxRecord(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """
    A transaction that landed, with everything ``getTransaction`` tells about it.

    ``wire`` is the signed transaction as received, ``err`` the JSON form of the transaction error (None on success),
    balances are in lamports in the order of the account keys, ``inner`` holds (instruction index, invoked ones),
    ``logs`` and ``inner`` are None when the transaction only paid its fee, ``price`` is in micro-lamports per unit.
    """

    signature: bytes
    slot: int
    index: int
    wire: bytes
    err: Any
    fee: int
    pre_balances: list[int]
    post_balances: list[int]
    pre_tokens: list[TokenBalance]
    post_tokens: list[TokenBalance]
    logs: list[str] | None
    inner: list[tuple[int, list[Inner]]] | None
    units: int
    return_data: tuple[bytes, bytes] | None
    loaded_writable: list[bytes]
    loaded_readonly: list[bytes]
    memo: str | None
    price: int


class BlockRecord(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A frozen slot. ``time`` is the unix time in seconds; ``transactions`` counts those of this block."""

    slot: int
    parent: int
    blockhash: bytes
    parent_hash: bytes
    time: int
    transactions: int


_encoder: Final = msgspec.msgpack.Encoder()
_tx_decoder: Final = msgspec.msgpack.Decoder(TxRecord)
_block_decoder: Final = msgspec.msgpack.Decoder(BlockRecord)


def encode_record(record: TxRecord | BlockRecord) -> bytes:
    """Return the stored form of a transaction or block."""
    return _encoder.encode(record)


def decode_tx(raw: bytes) -> TxRecord:
    """Read a stored transaction; raises ``msgspec.DecodeError`` on damaged bytes."""
    return _tx_decoder.decode(raw)


def decode_block(raw: bytes) -> BlockRecord:
    """Read a stored block; raises ``msgspec.DecodeError`` on damaged bytes."""
    return _block_decoder.decode(raw)


def encode_account(account: Account) -> bytes:
    """Return the stored form of an account."""
    head = _ACCOUNT_HEAD.pack(account.lamports, account.rent_epoch, account.executable, bytes(account.owner))
    return head + account.data


def decode_account(raw: bytes) -> Account:
    """Read a stored account; raises ``struct.error`` when the head is cut short."""
    lamports, rent_epoch, executable, owner = _ACCOUNT_HEAD.unpack_from(raw)
    return Account(lamports, raw[_ACCOUNT_HEAD.size :], Pubkey(owner), bool(executable), rent_epoch)
