"""The exception tree of m0client.

M0ClientError
├── TransportError      a server could not be reached, or the connection broke; try again
├── ApiError            the API answered with an error: `status`, stable `code`, `detail`
│   └── NotFound        no such market, epoch or prediction
├── RpcError            the Solana node answered with an error
├── StreamError         the realtime server refused a request: stable `code`, `message`
├── DecodeError         bytes are not what they are said to be
└── VerificationError   a proof is not valid: the first `check` that failed, and the `reason`
"""

import msgspec

UNDECODABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What a decoder raises for bytes or text that are none of its messages."""


class M0ClientError(Exception):
    """Root of every error this package raises on purpose."""


class TransportError(M0ClientError):
    """A server could not be reached, or the connection broke; the caller may try again."""


class ApiError(M0ClientError):
    """The API answered with an error (RFC 9457 problem details)."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail


class NotFound(ApiError):
    """No such market, epoch or prediction."""


class RpcError(M0ClientError):
    """The Solana node answered with an error or with something that is no answer."""


class StreamError(M0ClientError):
    """The realtime server refused a request."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class DecodeError(M0ClientError, ValueError):
    """Bytes are not what they are said to be."""


class VerificationError(M0ClientError):
    """A proof is not valid. `check` is the stable name of the first check that failed, `reason` is for people."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(f"{check}: {reason}")
        self.check = check
        self.reason = reason
