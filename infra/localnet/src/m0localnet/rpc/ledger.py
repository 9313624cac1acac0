"""Methods that look at all accounts: supply and largest accounts."""

from __future__ import annotations

from typing import Any, Final

from m0localnet.node import Node
from m0localnet.rpc.registry import Params, method, with_context

LARGEST: Final = 20


@method("getSupply", 0, 1)
def get_supply(node: Node, params: Params) -> Any:
    """Return the lamports in existence as of the last write to the ledger; nothing is locked up."""
    slot = params.config(0).slot(node)
    total = sum(lamports for _, lamports in node.store.balances())
    value = {"circulating": total, "nonCirculating": 0, "nonCirculatingAccounts": [], "total": total}
    return with_context(slot, value)


@method("getLargestAccounts", 0, 1)
def get_largest_accounts(node: Node, params: Params) -> Any:
    """Return the 20 accounts with the most lamports as of the last write to the ledger."""
    slot = params.config(0).slot(node)
    rows = sorted(node.store.balances(), key=lambda row: -row[1])[:LARGEST]
    return with_context(slot, [{"address": str(key), "lamports": lamports} for key, lamports in rows])
