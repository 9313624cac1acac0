"""The registry connector: markets as the chain has them become `market_open` and `market_close` control events.

It follows the compacted topic `m0.registry.v1` without a consumer group; offset and open markets are saved together
once the control events are acknowledged, so a restart repeats at most one batch, with the same bytes.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec
from m0common.clock import Clock
from m0common.errors import Unavailable
from m0common.messages import MarketClosePayload, MarketOpenPayload, RegistryMarket
from m0common.stream.broker import Broker, TopicPartition
from m0common.telemetry.logs import logger
from m0common.topics import REGISTRY

from m0_ingest import metrics
from m0_ingest.open_markets import OpenMarkets
from m0_ingest.state import StateFile
from m0_ingest.writer import Event, RawWriter

SOURCE = "registry"
BATCH = 500
POLL_MS = 500
RETRY_S = 1.0
BEGINNING = -2

Attributes = Callable[[str, str], Mapping[str, str]]
"""`(catalog, market_id)` to what the connectors know of a market."""

log = logger(__name__)
_decode = msgspec.msgpack.Decoder(RegistryMarket).decode


class RegistryState(msgspec.Struct, forbid_unknown_fields=True):
    """The next offset to read and the markets announced as open, with their catalogs."""

    offset: int = 0
    open: dict[str, str] = {}


class RegistryConnector:
    """Follows the registry for the catalogs of this process."""

    def __init__(
        self,
        broker: Broker,
        writer: RawWriter,
        clock: Clock,
        markets: OpenMarkets,
        catalogs: frozenset[str],
        attributes: Attributes,
        file: StateFile[RegistryState],
    ) -> None:
        self._broker = broker
        self._writer = writer
        self._clock = clock
        self._markets = markets
        self._catalogs = catalogs
        self._attributes = attributes
        self._file = file
        self._partition = TopicPartition(REGISTRY.name, 0)
        self.problem: str | None = "the registry topic has not been read yet"

    def start(self) -> None:
        """Take over what an earlier life had announced."""
        self._markets.restore((self._file.load() or RegistryState()).open)

    async def run(self) -> None:
        """Follow until cancelled; a broker that goes away is waited for."""
        while True:
            try:
                await self._follow()
            except Unavailable as error:
                self.problem = str(error)
                metrics.RETRIES.labels("registry topic").inc()
                log.warning("registry topic unavailable, trying again", reason=str(error))
                await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        consumer = self._broker.consumer()
        await consumer.start()
        try:
            offset = (self._file.load() or RegistryState()).offset
            end = (await consumer.end_offsets([self._partition]))[self._partition]
            begin = (await consumer.begin_offsets([self._partition]))[self._partition]
            if not begin <= offset <= end:
                log.warning("registry topic was replaced, reading it anew", saved_offset=offset, end_offset=end)
                offset = begin
            await consumer.assign({self._partition: offset if offset > 0 else BEGINNING})
            while True:
                records = await consumer.getmany(BATCH, POLL_MS)
                if records:
                    await self.take([record.value for record in records])
                    offset = records[-1].offset + 1
                    await self._file.save(RegistryState(offset, self._markets.snapshot()))
                self.problem = None if offset >= end else f"reading the registry topic: {offset} of {end}"
        finally:
            await consumer.stop()

    async def take(self, values: list[bytes]) -> None:
        """Write the control events that these registry records call for."""
        open_now = set(self._markets.snapshot())
        events: list[tuple[Event, str]] = []
        for value in values:
            market = self._market(value)
            if market is None or market.catalog not in self._catalogs:
                continue
            active = market.state.upper() == "ACTIVE"
            if active and market.market_id not in open_now:
                open_now.add(market.market_id)
                events.append((self._opening(market), market.catalog))
            elif not active and market.market_id in open_now:
                open_now.discard(market.market_id)
                events.append((self._closing(market), market.catalog))
        if events:
            await self._writer.write([event for event, _ in events])
        for event, catalog in events:
            market_id = event.market_id or ""
            if event.kind == "market_open":
                self._markets.opened(market_id, catalog)
            else:
                self._markets.closed(market_id)

    def _market(self, value: bytes) -> RegistryMarket | None:
        if not value:
            return None
        try:
            return _decode(value)
        except msgspec.MsgspecError as error:
            log.warning("a registry record cannot be read", reason=str(error))
            metrics.DEAD_LETTERS.labels("registry_record").inc()
            return None

    def _opening(self, market: RegistryMarket) -> Event:
        known = self._attributes(market.catalog, market.market_id)
        payload = MarketOpenPayload(
            catalog=market.catalog,
            outcomes=market.outcomes,
            schema_version=market.schema_version,
            opens_ms=market.opens_ms,
            title=market.title,
            attributes={**known, "resolves_after_ms": str(market.resolves_after_ms)},
        )
        identity = f"{market.market_id}:open:{market.slot}"
        event_ms = min(market.opens_ms, self._clock.now_ms())
        return Event(SOURCE, identity, market.group, market.market_id, "market_open", event_ms, payload)

    def _closing(self, market: RegistryMarket) -> Event:
        payload = MarketClosePayload(market.catalog, market.state.lower())
        identity = f"{market.market_id}:close:{market.slot}"
        event_ms = min(market.opens_ms, self._clock.now_ms())
        return Event(SOURCE, identity, market.group, market.market_id, "market_close", event_ms, payload)
