"""The door: what a raw value is before any lane is asked, and the verdict on its time.

It checks form; who may say what and whether it means anything is asked where it is applied. A value is one event or
one dead letter, never an exception of another kind.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
from m0common.errors import DeadLetterError
from m0common.messages import RawEvent
from m0common.messages.codec import UNDECODABLE
from m0common.messages.raw import RAW_MAX_BYTES, SOURCE_EVENT_ID_MAX
from m0common.messages.types import GroupOrNone, Kind, MarketId, Source

T = TypeVar("T", bound=msgspec.Struct)

AHEAD_MS: Final = 60_000
"""An observation may be dated so far after the moment it was appended, or into the window after the open one."""
DEPTH_MAX: Final = 96
"""So deep a value may be nested. Far from where interpreters give up, which differs from one to the next."""
PARTS_MAX: Final = 10_000
"""So many arrays and objects a value may have: packed they cost a broker nothing, and each costs time to look at."""

_text = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""A JSON text; one that does not end is taken to the end, so that every byte is read once."""
_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_ALIKE = bytes.maketrans(b"{}", b"[]")
_OPENS = ord("[")


class _Unread(RawEvent, frozen=True, omit_defaults=True, gc=False):
    """An event whose texts may have any form: asking patterns costs more than all else that decoding does."""

    source: str
    source_event_id: str
    group: str
    market_id: str | None
    kind: str


_Texts = tuple[Source, GroupOrNone, MarketId | None, Kind]

_unread_decoder = msgspec.json.Decoder(_Unread)
_event_decoder = msgspec.json.Decoder(RawEvent)
_decoders: dict[type[msgspec.Struct], msgspec.json.Decoder[Any]] = {}


def decode_event(value: bytes) -> RawEvent:
    """The event in a raw message. Raises DeadLetterError naming what is wrong."""
    if not value:
        raise DeadLetterError("empty", "the message has no value: write one JSON object")
    if len(value) > RAW_MAX_BYTES:
        raise DeadLetterError("too_large", f"a value of {len(value)} bytes: at most {RAW_MAX_BYTES}")
    if value.count(b"[") + value.count(b"{") > DEPTH_MAX:  # otherwise they are too few to be nested too deeply
        _check_nesting(value)
    try:
        event = _unread_decoder.decode(value)
        _check_form(event.source, event.group, event.market_id, event.kind)
    except UNDECODABLE:
        return _decode_strictly(value)
    own = event.source_event_id
    # as SourceEventId says: every event has a text of its own there, and asking a pattern costs more than decoding
    if not (own and len(own) <= SOURCE_EVENT_ID_MAX and own.isascii() and own.isprintable()):
        return _decode_strictly(value)
    return event


def _check_nesting(value: bytes) -> None:
    brackets = brackets_of(value)
    if len(brackets) > 2 * PARTS_MAX:
        raise DeadLetterError("too_large", f"the JSON has more than {PARTS_MAX} arrays and objects")
    if is_too_deep(brackets):
        raise DeadLetterError("too_deep", f"the JSON is nested deeper than {DEPTH_MAX}")


def _decode_strictly(value: bytes) -> RawEvent:
    """The event with every pattern asked, which says what is wrong with it. Raises DeadLetterError."""
    try:
        return _event_decoder.decode(value)
    except msgspec.ValidationError as error:
        raise DeadLetterError("invalid_event", str(error)) from error
    except UNDECODABLE as error:
        raise DeadLetterError("not_json", str(error)) from error


@lru_cache(4_096)
def _check_form(source: str, group: str, market_id: str | None, kind: str) -> None:
    """Raises ValidationError unless texts have the form that RawEvent gives them. Only those that have are kept."""
    msgspec.convert((source, group, market_id, kind), _Texts)


def brackets_of(value: bytes) -> bytes:
    """The brackets of a JSON text that are in none of its strings, all of them square. Of a text that is no JSON it may
    say anything.
    """
    return _text.sub(b"", value).translate(_ALIKE, _NO_BRACKETS)


def is_too_deep(brackets: bytes) -> bool:
    """Whether brackets are nested deeper than DEPTH_MAX."""
    depth = 0
    for bracket in brackets:
        if bracket == _OPENS:
            depth += 1
            if depth > DEPTH_MAX:
                return True
        else:
            depth -= 1
    return False


def decode_payload(event: RawEvent, payloads: Mapping[str, type[T]]) -> T:
    """The payload by the event's kind. Raises DeadLetterError naming the field."""
    struct = payloads.get(event.kind)
    if struct is None:
        raise DeadLetterError("unknown_kind", f"kind {event.kind!r}: one of {', '.join(sorted(payloads))}")
    return decode_as(event.kind, event.payload, struct)


def decode_as(kind: str, payload: bytes | msgspec.Raw, struct: type[T]) -> T:
    """The payload of an event of this kind as `struct` has it. Raises DeadLetterError naming the field."""
    decoder = _decoders.get(struct)
    if decoder is None:
        decoder = _decoders[struct] = msgspec.json.Decoder(struct)
    try:
        made: T = decoder.decode(payload)
    except msgspec.ValidationError as error:
        raise DeadLetterError("invalid_payload", f"{kind}: {error}") from error
    except UNDECODABLE as error:
        raise DeadLetterError("not_json", f"{kind}: {error}") from error
    return made


def is_too_far_ahead(event_ms: int, append_ms: int, open_end_ms: int, epoch_ms: int) -> bool:
    """Whether an observation lies beyond the next window and a minute beyond where it stands in the log."""
    return event_ms >= max(open_end_ms + epoch_ms, append_ms + AHEAD_MS)
