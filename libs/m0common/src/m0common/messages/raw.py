"""The envelope of `m0.raw.v1`: whatever can change a prediction comes in it."""

from typing import Annotated

import msgspec

from m0common.messages.codec import encode_json
from m0common.messages.types import END, GroupOrNone, Hex64, Kind, MarketId, Millis, Source

RAW_MAX_BYTES = 1 << 20
"""The broker refuses a larger raw message to its sender; the door refuses one that was compressed past the broker."""
SOURCE_EVENT_ID_MAX = 256
SourceEventId = Annotated[str, msgspec.Meta(pattern=f"^[ -~]{{1,{SOURCE_EVENT_ID_MAX}}}{END}")]
"""1 to 256 printable ASCII characters, blanks among them."""


class RawEvent(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One event as a connector saw it, JSON. What `payload` is follows from `kind` and the catalog that owns `group`.

    `source_seq` numbers the events of a dense source per group, from 1. `signature` is that of a source with a key.
    """

    source: Source
    source_event_id: SourceEventId
    group: GroupOrNone
    market_id: MarketId | None
    kind: Kind
    event_ms: Millis
    received_ms: Millis
    payload: msgspec.Raw
    source_seq: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    signature: Hex64 | None = None


def raw_event(
    source: str,
    source_event_id: str,
    group: str,
    market_id: str | None,
    kind: str,
    event_ms: int,
    received_ms: int,
    payload: object,
    source_seq: int = 0,
) -> RawEvent:
    """A RawEvent around a payload: a struct, a dict, or its JSON bytes as `msgspec.Raw`."""
    body = payload if isinstance(payload, msgspec.Raw) else msgspec.Raw(encode_json(payload))
    return RawEvent(source, source_event_id, group, market_id, kind, event_ms, received_ms, body, source_seq)
