"""The registry connector: markets as the chain has them become signed `market_open` and `market_close` events.

It follows the compacted topic `m0.registry.v1` from its beginning, so it always knows which markets are active. A
market is opened when the set in force of its catalog names its group; when a generation takes force, whatever is active
is opened again, also what was open before: opening an open market is harmless. What was open before and is active no
more is closed first, where the set still names its group.

Events are numbered per group, so that a lane knows a copy however old it is. What is open and which numbers are used
stands in one transaction with the events: whoever goes on repeats none and leaves none out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

import msgspec
from m0common.clock import Clock
from m0common.cursors import Cursors
from m0common.errors import DeadLetterError, OffsetsGone
from m0common.messages import RawEvent, RegistryMarket, raw_event
from m0common.stream.broker import AT_BEGINNING, Broker, TopicPartition
from m0common.stream.door import decoded
from m0common.stream.follow import Follower
from m0common.stream.records import Record
from m0common.telemetry.logs import logger
from m0common.topics import REGISTRY
from m0lanes.authority import Sign, signed
from m0lanes.control import MARKET_CLOSE, MARKET_OPEN, MarketClosePayload, MarketOpenPayload
from m0replay.control_log import ControlLog
from solders.keypair import Keypair

from m0_ingest import metrics
from m0_ingest.open_markets import OpenMarkets
from m0_ingest.registry_cursors import GENERATION, MARKET, NUMBER, OpenMarket, RegistryState
from m0_ingest.writer import ConnectorWriter

SOURCE = "registry"
BATCH = 500

Attributes = Callable[[str, str], Mapping[str, str]]
"""`(catalog, market_id)` to what the connectors know of a market."""

log = logger(__name__)
_decoder = msgspec.msgpack.Decoder(RegistryMarket)


class RegistryConnector:
    """Follows the registry for the catalogs in the log. `cursors` must have been read to the end: it goes on from them.

    Raises InvalidValue when they hold what is none of its own.
    """

    def __init__(
        self,
        broker: Broker,
        writer: ConnectorWriter,
        clock: Clock,
        control: ControlLog,
        key: Keypair,
        genesis_hash: bytes,
        attributes: Attributes,
        cursors: Cursors,
    ) -> None:
        self._follower = Follower.waiting(broker, "ingest-registry")
        self._writer = writer
        self._clock = clock
        self._control = control
        self._sign: Sign = lambda message: bytes(key.sign_message(message))
        self._genesis_hash = genesis_hash
        self._attributes = attributes
        self._active: dict[str, RegistryMarket] = {}
        self._changed: dict[str, RegistryMarket] = {}
        state = RegistryState.of(cursors)
        self._markets = OpenMarkets(state.open)
        self._generations = state.generations
        self._numbers = state.numbers
        self._late: str | None = "the registry topic has not been read yet"

    @property
    def problem(self) -> str | None:
        """Readiness: why what is open may not be what the registry says."""
        return self._follower.problem or self._late

    async def run(self) -> None:
        """Follow until cancelled; a broker that is silent is waited for. Raises Unavailable or Fenced when what is due
        cannot be written.
        """
        place = TopicPartition(REGISTRY.name, 0)
        async with self._follower as follower:
            while True:
                try:
                    await follower.open([place])
                    await follower.go({place: AT_BEGINNING})
                    while True:
                        await self._follow(follower)
                except OffsetsGone as error:
                    # another topic under its name: what is active is read anew
                    self._late = str(error)
                    log.warning("registry_topic_replaced", reason=str(error))

    async def _follow(self, follower: Follower) -> None:
        self.see(await follower.next(BATCH))
        if not follower.caught_up:
            self._late = f"the registry topic has been read up to {follower.next_offsets} of {follower.ends}"
            return
        await self.turn()
        self._late = None

    def see(self, records: Iterable[Record]) -> None:
        """Learn what these registry records say; the last one of a market counts."""
        for record in records:
            market = self._market(record)
            if market is None:
                continue
            if market.state.upper() == "ACTIVE":
                self._active[market.market_id] = market
            else:
                self._active.pop(market.market_id, None)
            self._changed[market.market_id] = market

    async def turn(self) -> None:
        """Write the events that the registry and the sets in force call for. Raises Unavailable, and Fenced."""
        generations = {catalog: self._generation(catalog) for catalog in self._control.catalogs()}
        begun = {
            catalog for catalog, generation in generations.items() if generation != self._generations.get(catalog, 0)
        }
        due = self._changed | {name: market for name, market in self._active.items() if market.catalog in begun}
        forgotten = [name for catalog in sorted(begun) for name in self._markets.of(catalog)]
        for some in _batches(forgotten):
            await self._forget(some)
        for some in _batches(due):
            await self._say([due[name] for name in some])
        if generations != self._generations:
            await self._writer.write(cursors={GENERATION + catalog: number for catalog, number in generations.items()})
        self._changed, self._generations = {}, generations

    async def _forget(self, names: list[str]) -> None:
        """Open markets whose catalog has another generation: closed where the lanes keep them and the registry does
        not, and counted as open no more.
        """
        events: list[RawEvent] = []
        for name in names:
            market = self._markets.get(name)
            if name in self._active or not self._is_named(market):
                continue
            event = self._closing(self._changed.get(name) or _gone(name, market))
            if event is not None:
                events.append(event)
        await self._write(events, closed=names, opened=[])

    async def _say(self, markets: Iterable[RegistryMarket]) -> None:
        """Open and close what of these is not as it should be."""
        events: list[RawEvent] = []
        opened: list[RegistryMarket] = []
        closed: list[str] = []
        for market in markets:
            name = market.market_id
            is_open = self._markets.is_open(name)
            if (name in self._active) == is_open or not self._is_named(market):
                continue
            event = self._closing(market) if is_open else self._opening(market)
            if event is not None:
                events.append(event)
                (closed.append(name) if is_open else opened.append(market))
        await self._write(events, closed, opened)

    async def _write(self, events: list[RawEvent], closed: list[str], opened: list[RegistryMarket]) -> None:
        """Write events, what they change in the cursors, and the numbers they use, in one transaction."""
        cursors: dict[str, object | None] = {MARKET + name: None for name in closed}
        cursors |= {MARKET + market.market_id: OpenMarket(market.catalog, market.group) for market in opened}
        cursors |= {NUMBER + event.group: self._numbers[event.group] for event in events}
        await self._writer.write(events, cursors=cursors)
        for name in closed:
            self._markets.closed(name)
        for market in opened:
            self._markets.opened(market.market_id, market.catalog, market.group)

    def _generation(self, catalog: str) -> int:
        now = self._control.in_force_everywhere(catalog)
        return 0 if now is None else now.payload.generation

    def _is_named(self, market: RegistryMarket | OpenMarket) -> bool:
        now = self._control.in_force_everywhere(market.catalog)
        return now is not None and not now.payload.retired and market.group in now.payload.groups

    def _market(self, record: Record) -> RegistryMarket | None:
        if not record.value:
            return None
        try:
            return decoded(_decoder, record.value, "not_a_market")
        except DeadLetterError as error:
            self._follower.unreadable(record, error)
            return None

    def _opening(self, market: RegistryMarket) -> RawEvent | None:
        known = self._attributes(market.catalog, market.market_id)
        payload = MarketOpenPayload(
            catalog=market.catalog,
            outcomes=market.outcomes,
            schema_version=market.schema_version,
            opens_ms=market.opens_ms,
            title=market.title,
            attributes={**known, "resolves_after_ms": str(market.resolves_after_ms)},
        )
        return self._event(market, MARKET_OPEN, "open", payload)

    def _closing(self, market: RegistryMarket) -> RawEvent | None:
        return self._event(market, MARKET_CLOSE, "close", MarketClosePayload(market.catalog, market.state.lower()))

    def _event(
        self, market: RegistryMarket, kind: str, what: str, payload: MarketOpenPayload | MarketClosePayload
    ) -> RawEvent | None:
        """The signed event; None, and a line in the log, when the chain's values break a bound of the door."""
        now_ms = self._clock.now_ms()
        at_ms = max(0, min(market.opens_ms, now_ms))
        try:
            msgspec.convert(msgspec.to_builtins(payload), type(payload))
        except msgspec.ValidationError as error:
            log.warning("a market cannot be said", market_id=market.market_id, kind=kind, reason=str(error))
            metrics.REFUSED.labels(market.catalog, kind).inc()
            return None
        number = self._next_number(market.group, now_ms)
        name = f"{market.market_id}:{what}:{market.slot}:{number}"
        event = raw_event(SOURCE, name, market.group, market.market_id, kind, at_ms, now_ms, payload, number)
        return signed(event, self._genesis_hash, self._sign)

    def _next_number(self, group: str, now_ms: int) -> int:
        """A group begins at the clock, in ms: above whatever was used before, should the topic have been lost."""
        number = self._numbers[group] = self._numbers.get(group, now_ms) + 1
        return number


def _gone(name: str, market: OpenMarket) -> RegistryMarket:
    """Of a market that the registry says nothing of any more, as much as its close needs."""
    return RegistryMarket(name, market.catalog, market.group, "", (), "GONE", 0, 0, 0, None, 0)


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    """As many of them as are looked at and written at once."""
    rest = iter(names)
    while some := list(islice(rest, BATCH)):
        yield some
