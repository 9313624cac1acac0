"""Reads from the log what it says of catalogs, and follows it until a set is in force."""

import asyncio

from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.errors import SettingsError, Unavailable
from m0common.stream.broker import AT_BEGINNING, Broker, TopicPartition
from m0common.stream.follow import Follower
from m0common.stream.records import Record
from m0common.topics import CURSORS, RAW
from m0lanes.authority import control_keys
from m0lanes.control import CatalogSetPayload
from solders.keypair import Keypair

from m0replay.catalog_changes import Standing
from m0replay.control_keys import ControlKey
from m0replay.control_log import ControlLog
from m0replay.lives import Lives
from m0replay.open_markets import OpenMarkets

POLL_S = 0.5


class CatalogLog:
    """What one deployment's log says of its catalogs, as far as it has been read."""

    def __init__(self, broker: Broker, deployment: Deployment, clock: Clock) -> None:
        self._broker, self.deployment, self.clock = broker, deployment, clock
        self._next: dict[TopicPartition, int] = {}
        self.control = ControlLog(deployment)
        self.markets = OpenMarkets(deployment, self._in_force)
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
        places.append(TopicPartition(CURSORS.name, 0))
        async with Follower(self._broker) as follower:
            await follower.open(places)
            await follower.go({where: self._next.get(where, AT_BEGINNING) for where in places}, follower.ends)
            while follower.unread:
                for record in await follower.next():
                    self._take(record)
                self._next = dict(follower.next_offsets)

    def _take(self, record: Record) -> None:
        self.control.take(record)
        if record.topic == RAW.name:
            self.markets.take(record)
            self.lives.take(record)

    def standing(self, catalog: str) -> Standing:
        """The catalog as the log has it. Raises SettingsError when the log has lost the set in force."""
        lost = self.lost(catalog)
        if lost is not None:
            raise SettingsError(
                f"catalog {catalog}: the set of generation {lost} is not in {RAW.name} any more: "
                "restore the topic, or write its record again from a backup"
            )
        return self._standing(catalog)

    def _standing(self, catalog: str) -> Standing:
        ready = self.control.ready(catalog)
        return Standing(self._in_force(catalog), None if ready is None else ready.payload)

    def lost(self, catalog: str) -> int | None:
        """The generation in force, when the log has lost its set; None otherwise."""
        marker = self.control.newest(catalog)
        if marker is None or self.control.in_force(catalog) is not None:
            return None
        said = marker.payload
        return said.generation if said.next is None else said.next.generation

    def _in_force(self, catalog: str) -> CatalogSetPayload | None:
        now = self.control.in_force(catalog)
        return None if now is None else now.payload

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
            newest = self._standing(name).newest
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
