"""What can go wrong between us and the chain, one class per thing a caller can act on.

ChainError
├── RpcUnavailable      the node did not answer, or said it is unhealthy: try again (also an Unavailable)
├── RpcRejected         the node understood and refused: the request is wrong
├── TransactionFailed   the transaction was executed, or simulated, and failed
│   └── ProgramError    ... with a numbered error of one of our programs
├── BlockhashExpired    the blockhash expired and the transaction did not land, as often as we cared to sign again
├── Unconfirmed         time ran out before the outcome was known; the signature may still land
└── DecodeError         bytes that are not what the IDL says (also an InvalidValue)
"""

from m0common.errors import InvalidValue, M0Error, Unavailable


class ChainError(M0Error):
    """Root of everything m0chain raises on purpose."""


class RpcUnavailable(ChainError, Unavailable):
    """The node did not answer, or said it is unhealthy."""

    remedy = "start that node, or name another by M0_RPC_URL"


class RpcRejected(ChainError):
    """The node refused the request; `code` is the JSON-RPC error code when the node gave one."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class TransactionFailed(ChainError):
    """A transaction failed on chain or in preflight.

    `cause` is the runtime's name for it (`AlreadyProcessed`, `InsufficientFundsForFee`, `Custom(1)`, …),
    `instruction` the index of the failing instruction when there is one, `logs` what the programs printed.
    """

    def __init__(self, cause: str, instruction: int | None = None, logs: tuple[str, ...] = ()) -> None:
        where = "" if instruction is None else f" in instruction {instruction}"
        tail = f"; last log: {logs[-1]}" if logs else ""
        super().__init__(f"transaction failed{where}: {cause}{tail}")
        self.cause = cause
        self.instruction = instruction
        self.logs = logs


class ProgramError(TransactionFailed):
    """A numbered error of one of our programs, named by its IDL."""

    def __init__(
        self,
        code: int,
        name: str,
        message: str,
        program: str,
        instruction: int | None = None,
        logs: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{program} {name} ({code}): {message}", instruction, logs)
        self.code = code
        self.name = name
        self.program = program


class BlockhashExpired(ChainError):
    """Nodes past the expiry of every signed version know none of them; sending it again is safe."""


class Unconfirmed(ChainError):
    """Time ran out before the outcome was known; one of `signatures` may still land."""

    def __init__(self, signatures: tuple[str, ...], waited_s: float) -> None:
        super().__init__(
            f"no outcome after {waited_s:.0f} s for {', '.join(signatures)}: look the signatures up before acting again"
        )
        self.signatures = signatures


class DecodeError(ChainError, InvalidValue):
    """Bytes that are not what the IDL says they are."""
