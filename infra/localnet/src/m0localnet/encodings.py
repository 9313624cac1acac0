"""Account data and transactions in the encodings of the RPC: base58, base64, base64+zstd, jsonParsed as base64."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import base58
import zstandard
from solders.account import Account
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from m0localnet import sanity
from m0localnet.errors import INVALID_REQUEST, RpcError, invalid_param, invalid_params
from m0localnet.txerrors import describe

MAX_BASE58_BYTES: Final = 128
MAX_TRANSACTION_BYTES: Final = 1232
_MAX_BASE58_CHARS: Final = 1683
_MAX_BASE64_CHARS: Final = 1644
RENT_EXEMPT_EPOCH: Final = 2**64 - 1
ACCOUNT_ENCODINGS: Final = ("binary", "base58", "base64", "jsonParsed", "base64+zstd")
_RUST_TX: Final = "solana_transaction::versioned::VersionedTransaction"
_RUST_MESSAGE: Final = "solana_message::non_bpf_modules::versions::VersionedMessage"
_B58: Final = frozenset("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")
_B64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_NO_RENT_EPOCH: Final = frozenset(
    {
        Pubkey.from_string("Sysvar1111111111111111111111111111111111111"),
        Pubkey.from_string("NativeLoader1111111111111111111111111111111"),
    }
)
_compressor: Final = zstandard.ZstdCompressor(level=1, write_content_size=True)


def b58encode(raw: bytes) -> str:
    """Return ``raw`` in base58."""
    return base58.b58encode(raw).decode()


def b58decode(text: str) -> bytes:
    """Read base58; raises ``ValueError`` that names the first bad character as Agave does."""
    for index, character in enumerate(text):
        if character not in _B58:
            raise ValueError(f"InvalidCharacter {{ character: {character!r}, index: {index} }}")
    return base58.b58decode(text)


def b64decode(text: str) -> bytes:
    """Read base64; raises ``ValueError`` worded as Agave's decoder words it."""
    for index, character in enumerate(text):
        if character not in _B64:
            raise ValueError(f"InvalidByte({index}, {ord(character)})")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("InvalidPadding") from None


def encode_data(data: bytes, encoding: str, data_slice: tuple[int, int] | None) -> Any:
    """Return account data as the RPC shows it; ``data_slice`` is (offset, length) in bytes."""
    if data_slice is not None:
        offset, length = data_slice
        data = data[offset : offset + length]
    if encoding in ("base64", "jsonParsed"):
        return [base64.b64encode(data).decode(), "base64"]
    if encoding == "base64+zstd":
        return [base64.b64encode(_compressor.compress(data)).decode(), "base64+zstd"]
    if len(data) > MAX_BASE58_BYTES:
        raise RpcError(
            INVALID_REQUEST,
            "Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.",
        )
    text = b58encode(data)
    return text if encoding == "binary" else [text, "base58"]


def encode_account(account: Account, encoding: str, data_slice: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return an account as the RPC shows it."""
    data = account.data
    return {
        "data": encode_data(data, encoding, data_slice),
        "executable": account.executable,
        "lamports": account.lamports,
        "owner": str(account.owner),
        "rentEpoch": 0 if account.owner in _NO_RENT_EPOCH else RENT_EXEMPT_EPOCH,
        "space": len(data),
    }


def decode_text(text: str, encoding: str, what: str) -> bytes:
    """Read the bytes of a client's ``what`` (a Rust type name, as in Agave's messages) in base58 or base64."""
    if encoding not in ("base58", "base64"):
        raise invalid_params(f"unsupported encoding: {encoding}. Supported encodings: base58, base64")
    limit = _MAX_BASE58_CHARS if encoding == "base58" else _MAX_BASE64_CHARS
    if len(text) > limit:
        raise invalid_params(
            f"{encoding} encoded {what} too large: {len(text)} bytes (max: encoded/raw {limit}/{MAX_TRANSACTION_BYTES})"
        )
    try:
        raw = b58decode(text) if encoding == "base58" else b64decode(text)
    except ValueError as error:
        raise invalid_params(f"invalid {encoding} encoding: {error}") from None
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise invalid_params(f"decoded {what} too large: {len(raw)} bytes (max: {MAX_TRANSACTION_BYTES} bytes)")
    return raw


def decode_transaction(text: str, encoding: str) -> VersionedTransaction:
    """Read a client's transaction; raises :class:`RpcError` with Agave's words."""
    raw = decode_text(text, encoding, _RUST_TX)
    try:
        tx = VersionedTransaction.from_bytes(raw)
    except Exception as error:  # noqa: BLE001 - solders raises a class of its own per failure and promises none
        raise invalid_params(f"failed to deserialize {_RUST_TX}: {error}") from None
    if bytes(tx) != raw:
        raise invalid_params(f"failed to deserialize {_RUST_TX}: trailing bytes")
    refused = sanity.refusal(tx)
    if refused is not None:
        raise invalid_params(f"invalid transaction: {describe(refused)}")
    return tx


def decode_message(text: str) -> Message | MessageV0:
    """Read a client's base64 message, legacy or version 0."""
    raw = decode_text(text, "base64", _RUST_MESSAGE)
    try:
        message = MessageV0.from_bytes(raw[1:]) if raw[:1] == b"\x80" else Message.from_bytes(raw)
    except Exception as error:  # noqa: BLE001 - as in decode_transaction
        raise invalid_params(f"failed to deserialize {_RUST_MESSAGE}: {error}") from None
    try:
        VersionedTransaction.populate(
            message, [Signature.default()] * message.header.num_required_signatures
        ).sanitize()
    except Exception as error:  # noqa: BLE001 - as in decode_transaction
        raise invalid_params(f"invalid transaction message: {error}") from None
    return message


def decode_memcmp(text: Any, encoding: str) -> bytes:
    """Read the bytes of a memcmp filter (at most 128)."""
    if isinstance(text, list):
        try:
            raw = bytes(text)
        except (TypeError, ValueError):
            raise invalid_param("memcmp bytes must be numbers from 0 to 255") from None
    elif encoding == "base64":
        try:
            raw = b64decode(text)
        except ValueError as error:
            raise invalid_param(f"Base64DecodeError({error})") from None
    else:
        if len(text) > 175:
            raise invalid_param("DataTooLarge")
        try:
            raw = b58decode(text)
        except ValueError as error:
            raise invalid_param(f"Base58DecodeError({error})") from None
    if len(raw) > MAX_BASE58_BYTES:
        raise invalid_param("DataTooLarge")
    return raw
