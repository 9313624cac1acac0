"""Transactions and blocks as ``getTransaction`` and ``getBlock`` show them."""

from __future__ import annotations

import base64
from typing import Any, Final

from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from m0localnet.encodings import b58encode
from m0localnet.errors import UNSUPPORTED_TRANSACTION_VERSION, RpcError, invalid_params
from m0localnet.message import MEMO_PROGRAMS
from m0localnet.records import Inner, TokenBalance, TxRecord
from m0localnet.tokens import ui_amount

TX_ENCODINGS: Final = ("binary", "base64", "base58", "json", "jsonParsed")


def version_of(tx: VersionedTransaction) -> str | int:
    """Return ``"legacy"`` or the version number."""
    return 0 if isinstance(tx.message, MessageV0) else "legacy"


def check_version(version: str | int, maximum: int | None) -> None:
    """Refuse a version the client did not say it understands."""
    if version == "legacy" or (maximum is not None and int(version) <= maximum):
        return
    if maximum is None:
        raise RpcError(
            UNSUPPORTED_TRANSACTION_VERSION,
            f"Transaction version ({version}) is not supported by the requesting client. "
            "Please try the request again with the following configuration parameter: "
            '"maxSupportedTransactionVersion": 0',
        )
    raise RpcError(
        UNSUPPORTED_TRANSACTION_VERSION,
        f"Transaction version ({version}) is not supported by the requesting client. Please try the request again with "
        f'the following configuration parameter: "maxSupportedTransactionVersion": {version}',
    )


def _keys(record: TxRecord, tx: VersionedTransaction) -> list[str]:
    loaded = (*record.loaded_writable, *record.loaded_readonly)
    return [*map(str, tx.message.account_keys), *(str(Pubkey(key)) for key in loaded)]


def _parsed_keys(record: TxRecord, tx: VersionedTransaction) -> list[dict[str, Any]]:
    message = tx.message
    header = message.header
    count = len(message.account_keys)
    signed = header.num_required_signatures
    rows = []
    for i, key in enumerate(message.account_keys):
        writable = (
            i < signed - header.num_readonly_signed_accounts
            if i < signed
            else i < count - header.num_readonly_unsigned_accounts
        )
        demoted = message.is_key_called_as_program(i)
        row = {"pubkey": str(key), "signer": i < signed, "source": "transaction", "writable": writable and not demoted}
        rows.append(row)
    for keys, flag in ((record.loaded_writable, True), (record.loaded_readonly, False)):
        rows += [
            {"pubkey": str(Pubkey(key)), "signer": False, "source": "lookupTable", "writable": flag} for key in keys
        ]
    return rows


def _plain(program: int, accounts: bytes, data: bytes, height: int) -> dict[str, Any]:
    return {
        "accounts": list(accounts),
        "data": b58encode(data),
        "programIdIndex": program,
        "stackHeight": height,
    }


_MEMO_NAMES: Final = {str(key) for key in MEMO_PROGRAMS}


def _partly_parsed(keys: list[str], program: int, accounts: bytes, data: bytes, height: int) -> dict[str, Any]:
    program_id = keys[program]
    if program_id in _MEMO_NAMES:
        text = data.decode("utf-8", "replace")
        return {"parsed": text, "program": "spl-memo", "programId": program_id, "stackHeight": height}
    return {
        "accounts": [keys[i] for i in accounts],
        "data": b58encode(data),
        "programId": program_id,
        "stackHeight": height,
    }


def _message_json(record: TxRecord, tx: VersionedTransaction, *, parsed: bool) -> dict[str, Any]:
    message = tx.message
    keys = _keys(record, tx)
    instructions = [
        _partly_parsed(keys, ix.program_id_index, bytes(ix.accounts), bytes(ix.data), 1)
        if parsed
        else _plain(ix.program_id_index, bytes(ix.accounts), bytes(ix.data), 1)
        for ix in message.instructions
    ]
    body: dict[str, Any] = {
        "accountKeys": _parsed_keys(record, tx) if parsed else [str(key) for key in message.account_keys],
        "instructions": instructions,
        "recentBlockhash": str(message.recent_blockhash),
    }
    if not parsed:
        header = message.header
        body["header"] = {
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
            "numRequiredSignatures": header.num_required_signatures,
        }
    if not isinstance(message, Message):
        body["addressTableLookups"] = [
            {
                "accountKey": str(lookup.account_key),
                "readonlyIndexes": list(lookup.readonly_indexes),
                "writableIndexes": list(lookup.writable_indexes),
            }
            for lookup in getattr(message, "address_table_lookups", ())
        ]
    return body


def transaction_json(record: TxRecord, tx: VersionedTransaction, encoding: str) -> Any:
    """Return the transaction part in one of :data:`TX_ENCODINGS`."""
    if encoding == "base64":
        return [base64.b64encode(record.wire).decode(), "base64"]
    if encoding in ("base58", "binary"):
        text = b58encode(record.wire)
        return text if encoding == "binary" else [text, "base58"]
    if encoding not in ("json", "jsonParsed"):
        raise invalid_params(
            f"Invalid params: unknown variant `{encoding}`, expected one of "
            + ", ".join(f"`{e}`" for e in TX_ENCODINGS)
        )
    message = _message_json(record, tx, parsed=encoding == "jsonParsed")
    return {"message": message, "signatures": [str(signature) for signature in tx.signatures]}


def token_balances(balances: list[TokenBalance]) -> list[dict[str, Any]]:
    """Return token balances as the RPC shows them."""
    return [
        {
            "accountIndex": b.account_index,
            "mint": str(Pubkey(b.mint)),
            "owner": str(Pubkey(b.owner)),
            "programId": str(Pubkey(b.program)),
            "uiTokenAmount": ui_amount(b.amount, b.decimals),
        }
        for b in balances
    ]


def inner_json(inner: list[tuple[int, list[Inner]]], keys: list[str] | None) -> list[dict[str, Any]]:
    """Return inner instructions, partly parsed when ``keys`` is given."""
    return [
        {
            "index": index,
            "instructions": [
                _partly_parsed(keys, c.program_index, c.accounts, c.data, c.stack_height)
                if keys is not None
                else _plain(c.program_index, c.accounts, c.data, c.stack_height)
                for c in calls
            ],
        }
        for index, calls in inner
    ]


def return_data_json(return_data: tuple[bytes, bytes] | None) -> dict[str, Any] | None:
    """Return a program's return data as the RPC shows it."""
    if return_data is None:
        return None
    program, data = return_data
    return {"data": [base64.b64encode(data).decode(), "base64"], "programId": str(Pubkey(program))}


def _status(err: Any) -> dict[str, Any]:
    return {"Ok": None} if err is None else {"Err": err}


def meta_json(record: TxRecord, tx: VersionedTransaction, encoding: str) -> dict[str, Any]:
    """Return the ``meta`` part of a transaction."""
    parsed = encoding == "jsonParsed"
    inner = None
    if record.inner is not None:
        inner = inner_json(record.inner, _keys(record, tx) if parsed else None)
    meta: dict[str, Any] = {
        "computeUnitsConsumed": record.units,
        "err": record.err,
        "fee": record.fee,
        "innerInstructions": inner,
        "logMessages": record.logs,
        "postBalances": record.post_balances,
        "postTokenBalances": token_balances(record.post_tokens),
        "preBalances": record.pre_balances,
        "preTokenBalances": token_balances(record.pre_tokens),
        "rewards": [],
        "status": _status(record.err),
    }
    if not parsed:
        meta["loadedAddresses"] = {
            "readonly": [str(Pubkey(key)) for key in record.loaded_readonly],
            "writable": [str(Pubkey(key)) for key in record.loaded_writable],
        }
    if record.return_data is not None:
        meta["returnData"] = return_data_json(record.return_data)
    return meta


def full(record: TxRecord, encoding: str, maximum: int | None) -> dict[str, Any]:
    """Return ``{transaction, meta, version?}``; raises for a version above ``maximum``."""
    tx = VersionedTransaction.from_bytes(record.wire)
    version = version_of(tx)
    check_version(version, maximum)
    body = {"meta": meta_json(record, tx, encoding), "transaction": transaction_json(record, tx, encoding)}
    if maximum is not None:
        body["version"] = version
    return body


def accounts_only(record: TxRecord, maximum: int | None) -> dict[str, Any]:
    """Return a block's transaction at detail ``accounts``."""
    tx = VersionedTransaction.from_bytes(record.wire)
    version = version_of(tx)
    check_version(version, maximum)
    body: dict[str, Any] = {
        "meta": {
            "err": record.err,
            "fee": record.fee,
            "postBalances": record.post_balances,
            "postTokenBalances": token_balances(record.post_tokens),
            "preBalances": record.pre_balances,
            "preTokenBalances": token_balances(record.pre_tokens),
            "rewards": [],
            "status": _status(record.err),
        },
        "transaction": {
            "accountKeys": _parsed_keys(record, tx),
            "signatures": [str(signature) for signature in tx.signatures],
        },
    }
    if maximum is not None:
        body["version"] = version
    return body
