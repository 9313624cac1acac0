"""The epoch clock: the only "now" inside the lanes is the marker it writes.

A marker goes into every partition after the window's end plus the lateness allowed; the first is that of the window in
which the clock begins. After a stop the epoch it may have been writing is written again in full, then the latest one
that is due; epochs in between had no clock and have no marker.
"""

import asyncio

import msgspec
from m0common.clock import Clock
from m0common.ids import epoch_of, epoch_window
from m0common.messages import EpochEndPayload
from m0common.settings import Catalog

from m0_ingest import metrics
from m0_ingest.state import StateFile
from m0_ingest.writer import Event, RawWriter

SOURCE = "clock"
LONGEST_SLEEP_MS = 500


class ClockState(msgspec.Struct, forbid_unknown_fields=True):
    """The epoch last begun to be written."""

    epoch_id: int


class EpochClock:
    """Writes one catalog's markers."""

    def __init__(
        self, name: str, catalog: Catalog, writer: RawWriter, clock: Clock, file: StateFile[ClockState]
    ) -> None:
        self.name = name
        self._catalog = catalog
        self._writer = writer
        self._clock = clock
        self._file = file
        self._last = -1

    async def start(self) -> None:
        """Finish the epoch that an earlier life may have left half written, or begin."""
        saved = self._file.load()
        if saved is None:
            # windows that ended before are nobody's: what is written now about the past is not late
            self._last = epoch_of(self._clock.now_ms(), self._catalog.epoch_ms) - 1
        else:
            self._last = saved.epoch_id
            await self._write(self._last)

    async def run(self) -> None:
        """Write markers until cancelled."""
        while True:
            wait_ms = await self.turn()
            await asyncio.sleep(wait_ms / 1000)

    async def turn(self) -> int:
        """Write the latest due epoch if it is new; returns milliseconds until the next may be due."""
        now = self._clock.now_ms()
        due = epoch_of(max(0, now - self._catalog.lateness_ms), self._catalog.epoch_ms) - 1
        if due > self._last:
            await self._file.save(ClockState(due))
            await self._write(due)
            self._last = due
            metrics.MARKERS.labels(self.name).inc()
            end = epoch_window(due, self._catalog.epoch_ms)[1] + self._catalog.lateness_ms
            metrics.MARKER_LATE_MS.labels(self.name).set(self._clock.now_ms() - end)
        next_end = epoch_window(self._last + 1, self._catalog.epoch_ms)[1] + self._catalog.lateness_ms
        return max(1, min(LONGEST_SLEEP_MS, next_end - self._clock.now_ms()))

    async def _write(self, epoch_id: int) -> None:
        start, end = epoch_window(epoch_id, self._catalog.epoch_ms)
        lanes = self._writer.partitions
        payload = EpochEndPayload(self.name, epoch_id, start, end, lanes)
        identity = f"{self.name}:{epoch_id}"
        await self._writer.write(
            [Event(SOURCE, identity, "", None, "epoch_end", end, payload, partition) for partition in range(lanes)]
        )
