"""JSON-RPC errors with the codes and messages that Agave's RPC node gives for the same mistakes."""

from __future__ import annotations

from typing import Any, Final

from solders.pubkey import Pubkey

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
BLOCK_CLEANED_UP: Final = -32001
PREFLIGHT_FAILURE: Final = -32002
SIGNATURE_VERIFICATION_FAILURE: Final = -32003
BLOCK_NOT_AVAILABLE: Final = -32004
NODE_UNHEALTHY: Final = -32005
SLOT_SKIPPED: Final = -32007
NO_SNAPSHOT: Final = -32008
LONG_TERM_STORAGE_SLOT_SKIPPED: Final = -32009
SIGNATURE_LENGTH_MISMATCH: Final = -32013
BLOCK_STATUS_NOT_AVAILABLE_YET: Final = -32014
UNSUPPORTED_TRANSACTION_VERSION: Final = -32015
MIN_CONTEXT_SLOT_NOT_REACHED: Final = -32016
TRANSACTION_NOT_FOUND: Final = -32020


class LocalnetError(Exception):
    """Root of the errors this package raises to its operator; the message says what to do about it."""


class LedgerError(LocalnetError):
    """The ledger directory cannot be used: it is locked, unreadable, of another version, or its disk is full."""


class PortError(LocalnetError):
    """A port to listen on is taken or may not be used."""


class FixtureError(LocalnetError):
    """An account or a program that the chain should begin with cannot be read from its file."""


class AccountRefused(LocalnetError):
    """An account from outside of the chain cannot be put on it; ``address`` is its key, ``fault`` what is wrong."""

    def __init__(self, address: Pubkey, fault: str) -> None:
        super().__init__(f"the account {address} cannot be put on the chain: {fault}")
        self.address, self.fault = address, fault


class RpcError(Exception):
    """An error to send to the client: ``code``, ``message`` and optional ``data`` of a JSON-RPC error object."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data  # any JSON value, as JSON-RPC allows

    def to_json(self) -> dict[str, Any]:
        """Return the error object of a JSON-RPC response."""
        body: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            body["data"] = self.data
        return body


def invalid_params(message: str) -> RpcError:
    """Return the error for parameters that cannot be read."""
    return RpcError(INVALID_PARAMS, message)


def invalid_param(reason: str) -> RpcError:
    """Return the error for one parameter whose value is unusable, worded as Agave words it."""
    return RpcError(INVALID_PARAMS, f"Invalid param: {reason}")


def block_not_available(slot: int) -> RpcError:
    """Return the error for a slot that has no block yet at the asked commitment."""
    return RpcError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")


def slot_skipped(slot: int) -> RpcError:
    """Return the error for a slot that never had a block."""
    return RpcError(SLOT_SKIPPED, f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot")


def min_context_slot_not_reached(context_slot: int) -> RpcError:
    """Return the error for a request that asks for a later state than the node has."""
    return RpcError(
        MIN_CONTEXT_SLOT_NOT_REACHED, "Minimum context slot has not been reached", {"contextSlot": context_slot}
    )


def node_unhealthy(reason: str) -> RpcError:
    """Return the error of a node that cannot vouch for what it would answer."""
    return RpcError(NODE_UNHEALTHY, f"Node is unhealthy: {reason}", {"numSlotsBehind": None})
