"""Reads from the log what it says of catalogs, and follows it until a set is in force."""

import asyncio

import msgspec
from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.errors import SettingsError, Unavailable
from m0common.messages import RawEvent
from m0common.messages.codec import UNDECODABLE
from m0common.stream.broker import AT_BEGINNING, Broker, TopicPartition
from m0common.stream.follow import Follower
from m0common.stream.records import Record
from m0common.topics import RAW
from m0lanes.authority import control_keys
from m0lanes.control import MARKET_CLOSE, MARKET_OPEN, CatalogSetPayload, MarketClosePayload, MarketOpenPayload
from solders.keypair import Keypair

from m0replay.catalog_changes import Standing
from m0replay.control_keys import ControlKey
from m0replay.control_log import ControlLog
from m0replay.lives import Lives

POLL_S = 0.5
_NEEDLES = (b"market_open", b"market_close")
_decode_event = msgspec.json.Decoder(RawEvent).decode
_decode_open = msgspec.json.Decoder(MarketOpenPayload).decode
_decode_close = msgspec.json.Decoder(MarketClosePayload).decode


class OpenMarkets:
    """The markets of each catalog that the log has opened and not closed, with their groups: to show, not to judge."""

    def __init__(self) -> None:
        self._markets: dict[str, dict[str, str]] = {}

    def take(self, record: Record) -> None:
        """Take one record of `m0.raw`; whatever opens or closes no market is passed over."""
        if not any(needle in record.value for needle in _NEEDLES):
            return
        try:
            event = _decode_event(record.value)
            if event.market_id is None:
                return
            if event.kind == MARKET_OPEN:
                catalog = _decode_open(event.payload).catalog
                self._markets.setdefault(catalog, {})[event.market_id] = event.group
            elif event.kind == MARKET_CLOSE:
                catalog = _decode_close(event.payload).catalog
                self._markets.get(catalog, {}).pop(event.market_id, None)
        except UNDECODABLE:
            return

    def of(self, catalog: str) -> dict[str, str]:
        """Market id → group."""
        return dict(self._markets.get(catalog, {}))


class CatalogLog:
    """What one deployment's log says of its catalogs, as far as it has been read."""

    def __init__(self, broker: Broker, deployment: Deployment, clock: Clock) -> None:
        self._broker, self.deployment, self.clock = broker, deployment, clock
        self._next: dict[TopicPartition, int] = {}
        self.control = ControlLog(deployment)
        self.markets = OpenMarkets()
        self.lives = Lives(deployment)

    async def read(self) -> None:
        """Read on to the present end. Raises Unavailable, or SettingsError for another count of partitions."""
        count = await self._broker.partitions(RAW.name)
        if count != self.deployment.partitions:
            raise SettingsError(
                f"{RAW.name} has {count} partitions and the settings say {self.deployment.partitions}: the count is "
                f"fixed for a deployment's life, set kafka.partitions = {count}"
            )
        places = [TopicPartition(RAW.name, partition) for partition in range(count)]
        async with Follower(self._broker) as follower:
            await follower.open(places)
            await follower.go({where: self._next.get(where, AT_BEGINNING) for where in places}, follower.ends)
            while follower.unread:
                for record in await follower.next():
                    self.control.take(record)
                    self.markets.take(record)
                    self.lives.take(record)
                self._next = dict(follower.next_offsets)

    def standing(self, catalog: str) -> Standing:
        """The catalog as the log has it. Raises SettingsError when the log has lost the set in force."""
        lost = self.lost(catalog)
        if lost is not None:
            raise SettingsError(
                f"catalog {catalog}: the set of generation {lost} is not in {RAW.name} any more: "
                "restore the topic, or write its record again from a backup"
            )
        in_force, ready = self.control.in_force(catalog), self.control.ready(catalog)
        return Standing(None if in_force is None else in_force.payload, None if ready is None else ready.payload)

    def lost(self, catalog: str) -> int | None:
        """The generation in force, when the log has lost its set; None otherwise."""
        marker = self.control.newest(catalog)
        if marker is None or self.control.in_force(catalog) is not None:
            return None
        said = marker.payload
        return said.generation if said.next is None else said.next.generation

    def key(self, catalog: str, keypair: Keypair) -> ControlKey:
        """The control key to sign with. Raises SettingsError when it is not the one in force in the catalog."""
        now = self.standing(catalog).in_force
        certificates = () if now is None else now.certificates
        return ControlKey(keypair, self.deployment.control_key, self.deployment.genesis_hash, certificates)

    def say_ms(self, catalog: str) -> int:
        """When a set that is written now is said: the one said last counts, so later than all before it, whatever
        clocks those were said by.
        """
        return max(self.clock.now_ms(), self.control.said_ms(catalog) + 1)

    def signer(self, payload: CatalogSetPayload | None) -> bytes:
        """The public control key, 32 bytes, that signs a set, and in whose generation it begins lives."""
        certificates = () if payload is None else payload.certificates
        return control_keys(self.deployment.control_key, self.deployment.genesis_hash, certificates)[-1]

    def others(self, catalog: str) -> dict[str, CatalogSetPayload]:
        """The newest sets of all other catalogs, but for those whose set in force the log has lost: what groups such a
        one has nothing says, and it may hold up no other.
        """
        found: dict[str, CatalogSetPayload] = {}
        for name in self.control.catalogs():
            if name == catalog or self.lost(name) is not None:
                continue
            newest = self.standing(name).newest
            if newest is not None:
                found[name] = newest
        return found

    async def wait_in_force(self, payload: CatalogSetPayload, timeout_s: float) -> None:
        """Follow the log until a marker has put `payload` in force.

        Raises Unavailable after `timeout_s`, naming what did not come, and SettingsError when another set came first.
        """
        catalog, generation = payload.catalog, payload.generation
        deadline_ms = self.clock.monotonic_ms() + timeout_s * 1000
        while True:
            await self.read()
            now = self.standing(catalog).in_force
            if now == payload:
                return
            if now is not None and now.generation >= generation:
                raise SettingsError(
                    f"catalog {catalog}: another set of generation {generation} came first: run it again"
                )
            if self.clock.monotonic_ms() > deadline_ms:
                raise Unavailable(
                    f"catalog {catalog}: after {timeout_s:.0f} s no marker names generation {generation}: it is in the "
                    "log and takes effect once the epoch clock (ingest) runs and has read it in every lane"
                )
            await asyncio.sleep(POLL_S)
