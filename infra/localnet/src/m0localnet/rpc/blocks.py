"""Methods that read blocks."""

from __future__ import annotations

from typing import Any, Final

from solders.hash import Hash

from m0localnet import txview
from m0localnet.errors import (
    BLOCK_CLEANED_UP,
    RpcError,
    block_not_available,
    invalid_params,
    slot_skipped,
)
from m0localnet.node import Node
from m0localnet.records import BlockRecord
from m0localnet.rpc.history import signature_text
from m0localnet.rpc.registry import Config, Params, method

MAX_RANGE: Final = 500_000


def _block(node: Node, slot: int, newest: int) -> BlockRecord:
    if slot > newest:
        raise block_not_available(slot)
    block = node.bank.pending_block(slot) or node.store.block(slot)
    if block is not None:
        return block
    first = node.store.first_slot()
    if slot < first:
        raise RpcError(
            BLOCK_CLEANED_UP, f"Block {slot} cleaned up, does not exist on node. First available block: {first}"
        )
    raise slot_skipped(slot)


@method("getBlock", 1, 2)
def get_block(node: Node, params: Params) -> Any:
    """Return a block with its transactions in the asked detail: full, accounts, signatures or none."""
    slot = params.unsigned(0)
    value = params.get(1)
    config = Config({"encoding": value}) if isinstance(value, str) else params.config(1, "struct RpcBlockConfig")
    block = _block(node, slot, node.bank.slot_at(config.history_commitment()))
    body: dict[str, Any] = {
        "blockHeight": block.slot,
        "blockTime": block.time,
        "blockhash": str(Hash(block.blockhash)),
        "parentSlot": block.parent,
        "previousBlockhash": str(Hash(block.parent_hash)),
    }
    detail = config.get("transactionDetails") or "full"
    if detail not in ("full", "accounts", "signatures", "none"):
        raise invalid_params(
            f"Invalid params: unknown variant `{detail}`, expected one of `full`, `signatures`, `none`, `accounts`."
        )
    maximum = config.unsigned("maxSupportedTransactionVersion")
    encoding = config.get("encoding") or "json"
    records = node.store.transactions(slot, slot) if detail != "none" and block.transactions else ()
    if detail == "full":
        body["transactions"] = [txview.full(record, encoding, maximum) for record in records]
    elif detail == "accounts":
        body["transactions"] = [txview.accounts_only(record, maximum) for record in records]
    elif detail == "signatures":
        body["signatures"] = [signature_text(record.signature) for record in records]
    if config.get("rewards") is not False:
        body["rewards"] = []
    return body


@method("getBlockTime", 1, 1)
def get_block_time(node: Node, params: Params) -> Any:
    """Return the unix time of a block in seconds."""
    slot = params.unsigned(0)
    return _block(node, slot, node.bank.running.number - 1).time


def _slots(node: Node, start: int, end: int, limit: int) -> list[int]:
    found = node.store.slots(start, end, limit)
    last = found[-1] if found else start - 1
    found += [slot for slot in node.bank.pending_slots() if last < slot <= end]
    return found[:limit]


@method("getBlocks", 1, 3)
def get_blocks(node: Node, params: Params) -> Any:
    """Return the slots with a block between two slots, inclusive."""
    start = params.unsigned(0)
    second = params.get(1)
    options = Config(second) if isinstance(second, dict) else params.config(2)
    newest = node.bank.slot_at(options.history_commitment())
    end = newest if second is None or isinstance(second, dict) else params.unsigned(1)
    end = min(end, newest)
    if end < start:
        return []
    if end - start > MAX_RANGE:
        raise invalid_params(f"Slot range too large; max {MAX_RANGE}")
    return _slots(node, start, end, MAX_RANGE + 1)


@method("getBlocksWithLimit", 2, 3)
def get_blocks_with_limit(node: Node, params: Params) -> Any:
    """Return up to ``limit`` slots with a block from a slot on."""
    start, limit = params.unsigned(0), params.unsigned(1, "usize")
    newest = node.bank.slot_at(params.config(2).history_commitment())
    if limit > MAX_RANGE:
        raise invalid_params(f"Limit too large; max {MAX_RANGE}")
    return _slots(node, start, newest, limit) if limit else []


@method("getFirstAvailableBlock", 0, 0)
def get_first_available_block(node: Node, _params: Params) -> Any:
    """Return the lowest slot whose block is kept."""
    return node.store.first_slot()


@method("minimumLedgerSlot", 0, 0)
def minimum_ledger_slot(node: Node, _params: Params) -> Any:
    """Return the lowest slot the ledger knows of."""
    return node.store.first_slot()


@method("getBlockCommitment", 1, 1)
def get_block_commitment(_node: Node, params: Params) -> Any:
    """Return the stake that voted on a block; a chain of one node has none to count."""
    params.unsigned(0)
    return {"commitment": None, "totalStake": 0}
