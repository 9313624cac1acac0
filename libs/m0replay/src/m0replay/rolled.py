"""Waiting until a catalog has gone over to a set: its marker, every stage of every lane, a final epoch."""

import asyncio
from collections.abc import AsyncIterator

from m0common.canonical import BundleHeader
from m0common.clock import Clock
from m0common.errors import M0Error, Unavailable
from m0common.messages import Manifest
from m0common.stream.broker import Broker
from m0common.stream.partition import partition_for
from m0common.stream.restored import LANE_STAGES
from m0lanes.bundle import STAGE as BUNDLE_STAGE
from m0lanes.control import CatalogSetPayload
from m0lanes.generations import lanes_of

from m0replay.catalog_log import CatalogLog
from m0replay.headers import headers
from m0replay.lanes import STAGES
from m0replay.manifest_log import ManifestLog
from m0replay.replay import FinalizedRoot
from m0replay.shown import short

POLL_S = 1.0
LOOK_BACK = 8
"""So many epochs before the newest marker one may be final already."""
EPOCH_MAX = (1 << 63) - 1


class Rolled:
    """Follows one deployment for `timeout_s`. What does not come is Unavailable, in a sentence of its own."""

    def __init__(
        self, broker: Broker, log: CatalogLog, states: ManifestLog, final: FinalizedRoot, clock: Clock, timeout_s: float
    ) -> None:
        self._broker, self._log, self._states, self._final, self._clock = broker, log, states, final, clock
        self._timeout_s = timeout_s
        self._end_ms = clock.monotonic_ms() + timeout_s * 1000

    async def in_force(self, payload: CatalogSetPayload) -> None:
        """A marker names the set. Raises SettingsError when another one came first."""
        await self._log.wait_in_force(payload, max(0.0, (self._end_ms - self._clock.monotonic_ms()) / 1000))

    async def taken_over(self, payload: CatalogSetPayload) -> None:
        """Every stage of every lane has gone on under the set's release. Raises M0Error when one is parked."""
        catalog = payload.catalog
        home = partition_for(catalog.encode(), payload.partitions)
        places = [(lane, stage) for lane in lanes_of(payload) for stage in LANE_STAGES]
        places.append((home, BUNDLE_STAGE))
        async for _ in self._polls():
            await self._states.read()
            newest = self._states.newest()
            waiting = []
            for partition, stage in places:
                now = newest.get((catalog, partition, stage))
                if now is not None and now.status == "parked":
                    raise M0Error(
                        f"lane {catalog}/{partition} is parked in {STAGES[stage]} ({now.reason}): see `m0 lane list`"
                    )
                if now is None or not _is_over(now, payload):
                    waiting.append(f"{STAGES[stage]} of {catalog}/{partition}")
            if not waiting:
                return
        raise Unavailable(
            f"catalog {catalog}: after {self._timeout_s:.0f} s {', '.join(waiting)} has not gone on with release "
            f"{short(payload.release)}: see that its build is ready in these stages, then run this again"
        )

    async def final(self, payload: CatalogSetPayload) -> int:
        """The first final epoch that is known of the set's generation."""
        catalog = payload.catalog
        first = max(0, self._log.control.last_epoch(catalog) - LOOK_BACK)
        async for _ in self._polls():
            async for message in headers(self._broker, catalog, first, EPOCH_MAX):
                if message.generation >= payload.generation and await self._is_final(message.header):
                    return message.epoch_id
        raise Unavailable(
            f"catalog {catalog}: after {self._timeout_s:.0f} s no epoch of generation {payload.generation} is final: "
            "see that signers have its release (/ready of each), then run this again"
        )

    async def _is_final(self, value: bytes) -> bool:
        header = BundleHeader.decode(value)
        return await self._final(header.catalog, header.epoch_id) == (header.merkle_root, header.bundle_hash)

    async def _polls(self) -> AsyncIterator[None]:
        """Once at least, and again until the time is over."""
        while True:
            yield
            if self._clock.monotonic_ms() >= self._end_ms:
                return
            await asyncio.sleep(POLL_S)


def _is_over(now: Manifest, payload: CatalogSetPayload) -> bool:
    return now.generation >= payload.generation and now.release.hex() == payload.release
