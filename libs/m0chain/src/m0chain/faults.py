"""From the errors of the node and of solana-py to those of m0chain."""

from collections.abc import Callable, Mapping, Sequence

from solana.exceptions import SolanaRpcException
from solana.rpc.core import RPCException
from solders.pubkey import Pubkey
from solders.rpc.errors import NodeUnhealthyMessage, SendTransactionPreflightFailureMessage
from solders.transaction_status import InstructionErrorCustom, TransactionErrorInstructionError

from m0chain.errors import ChainError, ProgramError, RpcRejected, RpcUnavailable, TransactionFailed
from m0chain.idl import Idl

# JSON-RPC codes after which the same request may well succeed: node behind, block not there yet, rate limits.
_PASSING_CODES = frozenset({-32004, -32005, -32014, -32016, -32603, -32429, 429})


class Faults:
    """Names errors; knows which program has which IDL. `scrub` takes the node's address out of what it says."""

    def __init__(self, idls: Mapping[Pubkey, Idl], scrub: Callable[[str], str] = str) -> None:
        self._idls = dict(idls)
        self._scrub = scrub

    def transaction(
        self, error: object, programs: Sequence[Pubkey] = (), logs: Sequence[str] | None = None
    ) -> TransactionFailed:
        """The error of a transaction (solders' `TransactionErrorType`).

        `programs` are those of its instructions in order; a custom code of one that has an IDL becomes a ProgramError.
        """
        lines = tuple(logs or ())
        if not isinstance(error, TransactionErrorInstructionError):
            return TransactionFailed(_name(error), None, lines)
        index, inner = error.index, error.err
        if not isinstance(inner, InstructionErrorCustom):
            return TransactionFailed(_name(inner), index, lines)
        idl = self._idls.get(programs[index]) if index < len(programs) else None
        known = None if idl is None else idl.errors.get(inner.code)
        if idl is None or known is None:
            return TransactionFailed(f"Custom({inner.code})", index, lines)
        return ProgramError(known.code, known.name, known.msg, idl.name, index, lines)

    def request(self, error: Exception, programs: Sequence[Pubkey] = ()) -> ChainError:
        """The error of a request that failed with `error` out of solana-py."""
        if isinstance(error, SolanaRpcException):
            cause = error.__cause__
            return RpcUnavailable(self._scrub(f"{error}: {cause}" if cause else str(error)))
        if not isinstance(error, RPCException):
            return RpcRejected(self._scrub(f"{type(error).__name__}: {error}"))
        body = error.args[0] if error.args else None
        if isinstance(body, SendTransactionPreflightFailureMessage):
            if body.data.err is None:
                return RpcRejected(self._scrub(body.message))
            return self.transaction(body.data.err, programs, body.data.logs)
        if isinstance(body, NodeUnhealthyMessage):
            return RpcUnavailable(f"node is unhealthy: {self._scrub(body.message)}")
        code = body if isinstance(body, int) else None
        message = self._scrub(str(getattr(body, "message", body)))
        if code in _PASSING_CODES or type(body).__name__ in {
            "InternalErrorMessage",
            "MinContextSlotNotReachedMessage",
            "BlockNotAvailableMessage",
            "BlockStatusNotAvailableYetMessage",
        }:
            return RpcUnavailable(f"node answered {message}")
        return RpcRejected(message, code)


def _name(error: object) -> str:
    return str(error).rsplit(".", 1)[-1]
