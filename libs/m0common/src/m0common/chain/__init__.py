"""Everything that talks to the chain: RPC client, transactions, instruction builders, account decoders, events, errors.

All of it follows from the programs' IDLs (`m0common.chain.idl`); the bytes are specified in docs/protocol.md.
"""

from m0common.chain import accounts, event_types, pda
from m0common.chain.errors import (
    BlockhashExpired,
    ChainError,
    DecodeError,
    ProgramError,
    RpcRejected,
    RpcUnavailable,
    TransactionFailed,
    Unconfirmed,
)
from m0common.chain.events import EventParser, LoggedEvent, ParsedLogs
from m0common.chain.oracle import LeafClaim, Oracle
from m0common.chain.registry import Registry
from m0common.chain.rpc import ChainClient, Timing
from m0common.chain.send import AnySigner, Fees, Landed, RemoteSigner, Sender
from m0common.chain.subscribe import AccountNotice, Connection, LogsNotice, Subscriptions

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
    "pda",
]
