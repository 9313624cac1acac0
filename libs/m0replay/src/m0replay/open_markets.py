"""The markets of each catalog that the log has opened and not closed: to show, not to judge.

Heard is only who a lane hears: a source that the set in force lets open and close markets, by its signature, each of
its numbers once and in its group's partition. What others write there costs nothing but to look at it.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.messages import RawEvent
from m0common.stream.records import Record
from m0lanes.authority import identity, is_signed_by
from m0lanes.control import MARKET_CLOSE, MARKET_OPEN, CatalogSetPayload, MarketClosePayload, MarketOpenPayload
from m0lanes.door import decode_event, decode_payload
from m0lanes.generations import partition_of

InForce = Callable[[str], CatalogSetPayload | None]
"""The set in force in a catalog, None while the log has not told it."""
HELD_MAX = 4_096
"""So many openings and closings are held, of all catalogs, until the set that says who may say them was read."""

_NOTHING = msgspec.Raw(b"")
_NEEDLES = (MARKET_OPEN.encode(), MARKET_CLOSE.encode())
_PAYLOADS: dict[str, type[MarketOpenPayload] | type[MarketClosePayload]] = {
    MARKET_OPEN: MarketOpenPayload,
    MARKET_CLOSE: MarketClosePayload,
}


class _Said(NamedTuple):
    """An opening or a closing: the event without its payload, and the hash of the whole that its source signed."""

    catalog: str
    event: RawEvent
    event_hash: bytes
    market: str


class OpenMarkets:
    """A fold over the records of `m0.raw`. `in_force` is asked for each; it may know more with every record."""

    def __init__(self, deployment: Deployment, in_force: InForce) -> None:
        self._deployment = deployment
        self._in_force = in_force
        self._markets: dict[str, dict[str, str]] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        """By source and group, the newest number heard of one that numbers its events."""
        self._held: deque[_Said] = deque()

    @property
    def held(self) -> int:
        """How many wait for a set in force."""
        return len(self._held)

    def take(self, record: Record) -> None:
        """Take one record; whatever opens or closes no market is passed over."""
        said = self._said(record)
        if said is None:
            return
        if self._in_force(said.catalog) is not None:
            self._release(said.catalog)
            self._hear(said)
        elif len(self._held) < HELD_MAX:
            self._held.append(said)

    def of(self, catalog: str) -> dict[str, str]:
        """Market id → group."""
        self._release(catalog)
        return dict(self._markets.get(catalog, {}))

    def _said(self, record: Record) -> _Said | None:
        if not any(needle in record.value for needle in _NEEDLES):
            return None
        try:
            event = decode_event(record.value)
            if event.signature is None or event.market_id is None or event.kind not in _PAYLOADS:
                return None
            payload = decode_payload(event, _PAYLOADS)
        except DeadLetterError:
            return None
        if partition_of(event.group, self._deployment.partitions) != record.partition:
            return None
        return _Said(
            payload.catalog, msgspec.structs.replace(event, payload=_NOTHING), identity(event), event.market_id
        )

    def _release(self, catalog: str) -> None:
        """Hear what was held of a catalog whose set in force is known by now."""
        if self._in_force(catalog) is None:
            return
        for _ in range(len(self._held)):
            said = self._held.popleft()
            if said.catalog == catalog:
                self._hear(said)
            else:
                self._held.append(said)

    def _hear(self, said: _Said) -> None:
        event, made = said.event, self._in_force(said.catalog)
        rule = None if made is None else made.sources.get(event.source)
        if made is None or rule is None or rule.key is None or event.kind not in rule.kinds:
            return
        if event.group not in made.groups:
            return
        source = (event.source, event.group)
        if rule.dense and event.source_seq <= self._numbers.get(source, 0):
            return  # a copy: the registry counts upwards
        if not is_signed_by(event, said.event_hash, self._deployment.genesis_hash, bytes.fromhex(rule.key)):
            return
        if rule.dense:
            self._numbers[source] = event.source_seq
        markets = self._markets.setdefault(said.catalog, {})
        if event.kind == MARKET_OPEN:
            markets[said.market] = event.group
        else:
            markets.pop(said.market, None)
