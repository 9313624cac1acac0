"""Samples that a domain may bring: `samples.json` in its folder, beside the files that decide, itself deciding nothing.

`{"markets": [{"outcomes": [...], "attributes": {...}}], "events": [{"kind": ..., "market": 0, "payload": {...}}]}`,
where `market` counts from 0 and is left out of events that are about none.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from m0common.errors import InvalidValue
from m0common.messages.codec import UNDECODABLE
from m0lanes.control import MarketOpenPayload
from m0lanes.port import Domain
from m0lanes.release import folder_of

FILE = "samples.json"
MARKETS_MAX, EVENTS_MAX = 16, 64


class MarketSample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A market as the registry would open it."""

    outcomes: Annotated[tuple[str, ...], msgspec.Meta(min_length=2, max_length=32)]
    attributes: dict[str, str] = {}


class EventSample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An observation as a connector would write it, about a market by its place among the samples, or about none."""

    kind: str
    payload: msgspec.Raw
    market: int | None = None


class Samples(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a domain brings, or nothing."""

    markets: Annotated[tuple[MarketSample, ...], msgspec.Meta(max_length=MARKETS_MAX)] = ()
    events: Annotated[tuple[EventSample, ...], msgspec.Meta(max_length=EVENTS_MAX)] = ()


def samples_of(domain: Domain) -> Samples:
    """The samples of a domain. Raises InvalidValue naming what is wrong in the file, or with what it says."""
    path = folder_of(domain) / FILE
    return read_samples(path, domain.payloads) if path.is_file() else Samples()


def read_samples(path: Path, payloads: Mapping[str, type[msgspec.Struct]]) -> Samples:
    """The samples in a file, for a domain of these kinds. Raises InvalidValue."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Samples)
        for market in found.markets:
            opened = MarketOpenPayload("check", market.outcomes, 1, 0, "", market.attributes)
            msgspec.convert(msgspec.to_builtins(opened), MarketOpenPayload)
    except UNDECODABLE as error:
        raise InvalidValue(f"{path}: {error}") from error
    for number, event in enumerate(found.events):
        if event.kind not in payloads:
            raise InvalidValue(f"{path}: event {number} is of kind {event.kind!r}, which the domain does not know")
        if event.market is not None and not 0 <= event.market < len(found.markets):
            raise InvalidValue(f"{path}: event {number} is about market {event.market} of {len(found.markets)}")
        try:
            msgspec.json.decode(event.payload, type=payloads[event.kind])
        except UNDECODABLE as error:
            raise InvalidValue(f"{path}: event {number} is no {event.kind}: {error}") from error
    return found
