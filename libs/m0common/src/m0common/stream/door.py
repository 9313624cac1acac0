"""What a reader of a topic does first: bytes become a checked value, or one DeadLetterError that says why not.

A decoder of typed messages refuses most of what is wrong, but not all of it: it lets integers of 64 bits through and
text with a NUL, which Postgres takes neither of, and gives up with exceptions of Python on broken UTF-8 and on deep
nesting.
Any bytes cost their reader one dead letter, never its process.
"""

from typing import TypeVar

import msgspec

from m0common.canonical.leaf import PredictionLeaf
from m0common.errors import DeadLetterError, InvalidValue
from m0common.ids import check_catalog, check_market_id, market_key
from m0common.messages import ProvisionalPrediction
from m0common.messages.codec import UNDECODABLE, checked

INT64_MAX = (1 << 63) - 1
TEXT_MAX_BYTES = 256
MODEL_MAX_BYTES = 64
PROVISIONAL_GRACE_MS = 10_000
"""A provisional prediction is shown so long behind the end of its epoch's window: markers come late, clocks differ."""
T = TypeVar("T")
_UNUSED = bytes(32)
_provisional = msgspec.msgpack.Decoder(ProvisionalPrediction)


def decoded(decoder: msgspec.msgpack.Decoder[T], value: bytes, error: str) -> T:
    """The message in `value`. Raises DeadLetterError of class `error` for any bytes that are none."""
    try:
        return decoder.decode(value)
    except UNDECODABLE as problem:
        raise DeadLetterError(error, f"{len(value)} bytes are none of the topic's messages: {problem}") from problem


def check_text(what: str, text: str, max_bytes: int = TEXT_MAX_BYTES) -> None:
    """Raise InvalidValue unless a database can hold `text`: not too long, and no NUL in it."""
    if "\0" in text or len(text.encode()) > max_bytes:
        raise InvalidValue(f"{what} {text[:96]!r}: at most {max_bytes} bytes of UTF-8 without NUL")


def check_count(what: str, number: int) -> None:
    """Raise InvalidValue unless `number` is from 0 to 2^63 - 1, what a signed column of 64 bits holds."""
    if not 0 <= number <= INT64_MAX:
        raise InvalidValue(f"{what} {number}: 0 to {INT64_MAX}")


def check_digest(what: str, digest: bytes) -> None:
    """Raise InvalidValue unless `digest` has 32 bytes."""
    if len(digest) != 32:
        raise InvalidValue(f"{what} of {len(digest)} bytes: it is a 32-byte hash")


def read_provisional(value: bytes) -> ProvisionalPrediction:
    """A message of `m0.provisional.v1` that could stand in a leaf. Raises DeadLetterError `invalid_provisional`."""
    found = decoded(_provisional, value, "invalid_provisional")
    with checked("invalid_provisional"):
        check_catalog(found.catalog)
        check_text("model", found.model, MODEL_MAX_BYTES)
        for what in ("partition", "life", "cause", "epoch_id", "event_ms", "window_end_ms"):
            check_count(what, getattr(found, what))
        PredictionLeaf(
            market_key(check_market_id(found.market_id)),
            found.epoch_id,
            found.window_end_ms,
            found.schema_version,
            found.outcomes,
            found.risk_bps,
            found.quality_flags,
            found.model_key,
            _UNUSED,
        ).encode()
    return found
