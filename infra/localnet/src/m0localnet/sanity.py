"""What keeps a transaction from being looked at any further, on any node and in any state of the chain."""

from __future__ import annotations

from typing import Any

from solders.message import Message, MessageV0
from solders.transaction import VersionedTransaction

from m0localnet import budget


def refusal(tx: VersionedTransaction) -> Any:
    """Return the JSON form of the transaction error for which no node takes ``tx``, None when there is none."""
    if not isinstance(tx.message, Message | MessageV0):
        return "UnsupportedVersion"
    try:
        tx.sanitize()
    except Exception:  # noqa: BLE001 - solders raises a class of its own per failure and promises none
        return "SanitizeFailure"
    return budget.refusal(tx.message)
