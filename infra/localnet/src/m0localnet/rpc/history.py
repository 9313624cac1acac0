"""Methods that read transactions of the past."""

from __future__ import annotations

from typing import Any, Final

from solders.signature import Signature

from m0localnet import txview
from m0localnet.commitment import Commitment
from m0localnet.errors import TRANSACTION_NOT_FOUND, RpcError, invalid_params
from m0localnet.node import Node
from m0localnet.records import TxRecord
from m0localnet.rpc.registry import Config, Params, method, signature, with_context
from m0localnet.store import position

MAX_STATUSES: Final = 256
MAX_SIGNATURES: Final = 1000
MAX_POSITION: Final = 2**63 - 1


def _level(node: Node, slot: int) -> Commitment:
    bank = node.bank
    if slot <= bank.finalized:
        return Commitment.FINALIZED
    return Commitment.CONFIRMED if slot <= bank.confirmed else Commitment.PROCESSED


def _status(node: Node, slot: int, err: Any) -> dict[str, Any]:
    level = _level(node, slot)
    ended = node.bank.running.number - 1
    return {
        "confirmationStatus": level.label,
        "confirmations": None if level is Commitment.FINALIZED else max(ended - slot, 0),
        "err": err,
        "slot": slot,
        "status": {"Ok": None} if err is None else {"Err": err},
    }


@method("getSignatureStatuses", 1, 2)
def get_signature_statuses(node: Node, params: Params) -> Any:
    """Return the status of each signature, null for those unknown in recent slots (or ever, when asked to search)."""
    wanted = [bytes(signature(item)) for item in params.items(0, MAX_STATUSES)]
    search = params.config(1, "struct RpcSignatureStatusConfig").flag("searchTransactionHistory")
    out: list[Any] = []
    for raw in wanted:
        recent = node.bank.statuses.get(raw)
        if recent is not None:
            out.append(_status(node, recent.slot, recent.err))
            continue
        record = node.store.transaction(raw) if search else None
        out.append(None if record is None else _status(node, record.slot, record.err))
    return with_context(node.bank.running.number, out)


def block_time(node: Node, slot: int) -> int | None:
    """Return the unix time of a frozen block."""
    block = node.bank.pending_block(slot) or node.store.block(slot)
    return None if block is None else block.time


@method("getTransaction", 1, 2)
def get_transaction(node: Node, params: Params) -> Any:
    """Return one transaction with its outcome, null when it is unknown at the commitment."""
    wanted = params.signature(0)
    value = params.get(1)
    config = Config({"encoding": value}) if isinstance(value, str) else params.config(1, "struct RpcTransactionConfig")
    newest = node.bank.slot_at(config.history_commitment())
    record = node.store.transaction(bytes(wanted))
    if record is None or record.slot > newest:
        return None
    body = txview.full(record, config.get("encoding") or "json", config.unsigned("maxSupportedTransactionVersion"))
    return {"blockTime": block_time(node, record.slot), "slot": record.slot, "transactionIndex": record.index, **body}


def _bound(node: Node, config: Config, name: str, default: int) -> int:
    value = config.get(name)
    if value is None:
        return default
    wanted = signature(value)
    record = node.store.transaction(bytes(wanted))
    if record is None:
        raise RpcError(TRANSACTION_NOT_FOUND, f"Transaction {wanted} not found")
    return position(record.slot, record.index)


@method("getSignaturesForAddress", 1, 2)
def get_signatures_for_address(node: Node, params: Params) -> Any:
    """Return transactions that name an address, newest first, between ``until`` and ``before``, at most ``limit``."""
    address = params.pubkey(0)
    config = params.config(1, "struct RpcSignaturesForAddressConfig")
    limit = config.unsigned("limit")
    limit = MAX_SIGNATURES if limit is None else limit
    if not 1 <= limit <= MAX_SIGNATURES:
        raise invalid_params(f"Invalid limit; max {MAX_SIGNATURES}")
    newest = node.bank.slot_at(config.history_commitment())
    config.slot(node)
    before = min(_bound(node, config, "before", MAX_POSITION), position(newest + 1, 0))
    after = _bound(node, config, "until", -1)
    times: dict[int, int | None] = {}

    def row(record: TxRecord) -> dict[str, Any]:
        if record.slot not in times:
            times[record.slot] = block_time(node, record.slot)
        return {
            "blockTime": times[record.slot],
            "confirmationStatus": _level(node, record.slot).label,
            "err": record.err,
            "memo": record.memo,
            "signature": str(signature_text(record.signature)),
            "slot": record.slot,
            "transactionIndex": record.index,
        }

    return [row(record) for record in node.store.of_address(bytes(address), after, before, limit)]


def signature_text(raw: bytes) -> str:
    """Return a signature of 64 bytes in base58."""
    return str(Signature.from_bytes(raw))
