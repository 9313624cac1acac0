"""What a raw event is: decoding, its identity, and the checks that need no lane state."""

import hashlib
import struct

import msgspec
from m0common.errors import DeadLetterError, InvalidValue
from m0common.fixedpoint import PPB
from m0common.ids import check_catalog, check_market_id
from m0common.messages import (
    PAYLOADS,
    BookPayload,
    CatalogPayload,
    EpochEndPayload,
    MarketClosePayload,
    MarketOpenPayload,
    MatchResultPayload,
    Payload,
    QuotePayload,
    RawEvent,
)

MAX_SKEW_MS = 60_000
"""An event may claim to have happened this much after its connector received it, not more."""
MAX_DEPTH = 64

_TAG = b"M0EVENT1"

_event_decoder = msgspec.json.Decoder(RawEvent)
_payload_decoders = {kind: msgspec.json.Decoder(struct) for kind, struct in PAYLOADS.items()}


def decode_event(value: bytes) -> RawEvent:
    """The event in a raw message. Raises DeadLetterError naming what is wrong."""
    if not value:
        raise DeadLetterError("empty", "the message has no value: write one JSON object")
    try:
        event = _event_decoder.decode(value)
    except msgspec.ValidationError as error:
        raise DeadLetterError("invalid_event", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DeadLetterError("not_json", str(error)) from error
    except RecursionError as error:
        raise DeadLetterError("too_deep", "the JSON is nested too deeply") from error
    if event.event_ms > event.received_ms + MAX_SKEW_MS:
        ahead = event.event_ms - event.received_ms
        raise DeadLetterError("impossible_time", f"event_ms is {ahead} ms after received_ms: at most {MAX_SKEW_MS}")
    return event


def decode_payload(event: RawEvent) -> Payload:
    """The payload by the event's kind. Raises DeadLetterError naming the field."""
    decoder = _payload_decoders.get(event.kind)
    if decoder is None:
        raise DeadLetterError("unknown_kind", f"kind {event.kind!r}: one of {', '.join(sorted(_payload_decoders))}")
    try:
        payload = decoder.decode(event.payload)
    except msgspec.ValidationError as error:
        raise DeadLetterError("invalid_payload", f"{event.kind}: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DeadLetterError("not_json", f"{event.kind}: {error}") from error
    except RecursionError as error:
        raise DeadLetterError("too_deep", f"{event.kind}: the payload is nested too deeply") from error
    try:
        _check(event, payload)
    except InvalidValue as error:
        raise DeadLetterError("invalid_payload", f"{event.kind}: {error}") from error
    return payload


def event_id(event: RawEvent) -> bytes:
    """The identity of an event: a hash of all of it but the time it was received.

    sha256("M0EVENT1" | source | source_event_id | group | market_id | kind | event_ms i64 | payload), strings and
    payload with a u32 length before them; no market id is the empty string.
    """
    parts = [_TAG]
    for text in (event.source, event.source_event_id, event.group, event.market_id or "", event.kind):
        raw = text.encode()
        parts.append(struct.pack("<I", len(raw)) + raw)
    payload = bytes(event.payload)
    parts.append(struct.pack("<qI", event.event_ms, len(payload)) + payload)
    return hashlib.sha256(b"".join(parts)).digest()


def _check(event: RawEvent, payload: Payload) -> None:
    match payload:
        case CatalogPayload() | MarketOpenPayload() | MarketClosePayload() | EpochEndPayload():
            check_catalog(payload.catalog)
        case BookPayload():
            _check_side("bids", payload.bids, descending=True)
            _check_side("asks", payload.asks, descending=False)
            if not payload.bids and not payload.asks:
                raise InvalidValue("the book is empty: it says nothing")
            if payload.bids and payload.asks and payload.bids[0][0] >= payload.asks[0][0]:
                raise InvalidValue(f"crossed book: bid {payload.bids[0][0]} is not below ask {payload.asks[0][0]}")
        case QuotePayload():
            if sum(payload.p_ppb) != PPB:
                raise InvalidValue(f"probabilities sum to {sum(payload.p_ppb)} ppb: they sum to {PPB}")
        case MatchResultPayload():
            if payload.home == payload.away:
                raise InvalidValue(f"{payload.home!r} plays itself: home and away differ")
    if event.market_id is not None:
        check_market_id(event.market_id)
    if (
        isinstance(payload, MarketOpenPayload | MarketClosePayload | BookPayload | QuotePayload)
        and event.market_id is None
    ):
        raise InvalidValue("market_id is missing: this kind is about one market")


def _check_side(name: str, levels: tuple[tuple[int, int], ...], *, descending: bool) -> None:
    last = None
    for price, size in levels:
        if not 0 < price < PPB or size <= 0:
            raise InvalidValue(f"{name} level ({price}, {size}): the price lies in (0, {PPB}) and the size is positive")
        if last is not None and (price >= last if descending else price <= last):
            raise InvalidValue(f"{name} level at {price} after {last}: the best price comes first")
        last = price
