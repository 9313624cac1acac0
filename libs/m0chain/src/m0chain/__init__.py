"""Everything that talks to the chain: RPC client, transactions, instruction builders, account decoders, events, errors.

All of it follows from the programs' IDLs (`m0chain.idl`); the bytes are specified in docs/protocol.md.
"""

from m0chain import accounts, event_types, pda
from m0chain.errors import (
    BlockhashExpired,
    ChainError,
    DecodeError,
    ProgramError,
    RpcRejected,
    RpcUnavailable,
    TransactionFailed,
    Unconfirmed,
)
from m0chain.events import EventParser, LoggedEvent, ParsedLogs
from m0chain.oracle import LeafClaim, Oracle
from m0chain.programs import Programs, node_client
from m0chain.registry import Registry
from m0chain.rpc import ChainClient, Timing, quiet_retries
from m0chain.send import AnySigner, Fees, Landed, RemoteSigner, Sender
from m0chain.subscribe import AccountNotice, Connection, LogsNotice, Subscriptions

__all__ = [
    "AccountNotice",
    "AnySigner",
    "BlockhashExpired",
    "ChainClient",
    "ChainError",
    "Connection",
    "DecodeError",
    "EventParser",
    "Fees",
    "Landed",
    "LeafClaim",
    "LoggedEvent",
    "LogsNotice",
    "Oracle",
    "ParsedLogs",
    "ProgramError",
    "Programs",
    "Registry",
    "RemoteSigner",
    "RpcRejected",
    "RpcUnavailable",
    "Sender",
    "Subscriptions",
    "Timing",
    "TransactionFailed",
    "Unconfirmed",
    "accounts",
    "event_types",
    "node_client",
    "pda",
    "quiet_retries",
]
