"""What a domain says of an event before it is sent: whether it may be, and which outcome it decides."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from m0common.messages.codec import UNDECODABLE, encode_json
from m0lanes.port import Domain, Refused

T = TypeVar("T")


def checked(domain: Domain, kind: str, payload: msgspec.Struct) -> msgspec.Raw:
    """The JSON of a payload, as whoever reads it will understand it. Raises Refused when they would not."""
    expected = domain.payloads.get(kind)
    if expected is None:
        raise Refused(f"kind {kind!r} is none of domain {domain.name}")
    try:
        raw = encode_json(payload)
        decoded = msgspec.json.decode(raw, type=expected)
    except UNDECODABLE as error:
        raise Refused(str(error)) from error
    _asked(domain, lambda: domain.check(kind, decoded))
    return msgspec.Raw(raw)


def decided(domain: Domain, kind: str, payload: msgspec.Struct, outcomes: Sequence[str]) -> int | None:
    """The index of the outcome that a checked payload decides, None when it decides none. Raises Refused."""
    return _asked(domain, lambda: domain.outcome(kind, payload, outcomes))


def _asked(domain: Domain, question: Callable[[], T]) -> T:
    """What a domain answers; whatever else than Refused it raises costs this event and no more."""
    try:
        return question()
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"domain {domain.name} failed: {type(error).__name__}: {error}") from error
