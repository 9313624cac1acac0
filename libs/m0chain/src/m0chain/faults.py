"""From the errors of the node to those of m0chain."""

from collections.abc import Callable, Mapping, Sequence

from solders.pubkey import Pubkey
from solders.rpc.errors import SendTransactionPreflightFailureMessage
from solders.transaction_status import InstructionErrorCustom, TransactionErrorInstructionError

from m0chain.errors import ChainError, ProgramError, RpcRejected, RpcUnavailable, TransactionFailed
from m0chain.idl import Idl
from m0chain.wire import Refused

# JSON-RPC codes after which the same request may well succeed: node behind, block not there yet, rate limits.
_PASSING_CODES = frozenset({-32004, -32005, -32014, -32016, -32603, -32429, 429})
_PASSING_MESSAGES = frozenset(
    {
        "BlockNotAvailableMessage", "BlockStatusNotAvailableYetMessage", "InternalErrorMessage",
        "MinContextSlotNotReachedMessage", "NodeUnhealthyMessage",
    }
)  # fmt: skip


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

    def refusal(self, refused: Refused, programs: Sequence[Pubkey] = ()) -> ChainError:
        """What it means that the node answered with an error; it names the method, if it is not a transaction's."""
        answer = refused.answer
        if isinstance(answer, SendTransactionPreflightFailureMessage):
            if answer.data.err is None:
                return RpcRejected(self._scrub(answer.message))
            return self.transaction(answer.data.err, programs, answer.data.logs)
        code = answer if isinstance(answer, int) else None
        if code in _PASSING_CODES or type(answer).__name__ in _PASSING_MESSAGES:
            return RpcUnavailable(self._scrub(f"the node does not answer for now: {refused}"))
        return RpcRejected(self._scrub(f"the node refuses {refused}"), code)


def _name(error: object) -> str:
    return str(error).rsplit(".", 1)[-1]
