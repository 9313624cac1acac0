"""The epoch clock: the only "now" inside the lanes is the marker it writes.

It decides by the log's control records and the time alone, and knows nothing else between two runs but which set is in
force (`m0.cursors`), for when the log has forgotten it: the newest marker
found in any lane is completed with the same bytes, then the newest epoch that is due is written. Epochs in between had
no clock and have no marker. A marker goes into every lane of the generation in force and of the one it activates, and
has been read back from all of them before the next begins.
"""

from collections.abc import Callable
from typing import NamedTuple

from m0common.clock import Clock
from m0common.cursors import IN_FORCE, InForce
from m0common.ids import epoch_of, epoch_window
from m0common.messages import encode_raw, raw_event
from m0common.telemetry.logs import logger
from m0common.telemetry.traces import epoch_span, epoch_trace, inject
from m0common.topics import HOUR_MS
from m0lanes.authority import Sign, signed
from m0lanes.control import EPOCH_END, EpochEndPayload, NextGeneration
from m0replay.control_log import ControlLog
from m0replay.control_records import DefinedSet
from solders.keypair import Keypair

from m0_ingest import metrics
from m0_ingest.writer import ConnectorWriter

SOURCE = "clock"
LONGEST_SLEEP_MS = 500
READ_BACK_MS = 5
RATE_DIVISOR = 10
"""Towards the wall clock the time that epochs end by runs at most a tenth faster or slower than time passes."""
CARRY_MS = 24 * HOUR_MS
"""A set in force is said again when its newest copy in a lane is older: the log forgets what is old."""
NOTE_MS = HOUR_MS
"""How far behind the last epoch the note may be that says which set is in force."""

log = logger(__name__)


class _Marker(NamedTuple):
    """What is written into which lanes for an epoch."""

    epoch_id: int
    targets: tuple[int, ...]
    value: bytes


class EpochClock:
    """Writes the markers of every catalog in the log. `lateness_ms` gives how long one's windows wait for stragglers.

    `control` must have been read to the head before the first turn.
    """

    def __init__(
        self,
        control: ControlLog,
        writer: ConnectorWriter,
        clock: Clock,
        key: Keypair,
        genesis_hash: bytes,
        lateness_ms: Callable[[str], int],
    ) -> None:
        self._control = control
        self._writer = writer
        self._clock = clock
        self._key = bytes(key.pubkey()).hex()
        self._sign: Sign = lambda message: bytes(key.sign_message(message))
        self._genesis_hash = genesis_hash
        self._lateness_ms = lateness_ms
        self._written: dict[str, int] = {}
        self._carried: dict[str, int] = {}
        self._noted: dict[str, tuple[bytes, int]] = {}
        self.problems: dict[str, str] = {}
        self.notes: dict[str, str] = {}

    def problem(self) -> str | None:
        """Catalogs whose epochs cannot end, and why."""
        return "; ".join(text for _, text in sorted(self.problems.items())) or None

    def note(self) -> str | None:
        """Sets that cannot take force yet, and what they lack."""
        return "; ".join(text for _, text in sorted(self.notes.items())) or None

    async def turn(self) -> int:
        """Write what is due; returns milliseconds until there may be more. Raises Unavailable, and Fenced."""
        wait_ms = LONGEST_SLEEP_MS
        for catalog in self._control.catalogs():
            wait_ms = min(wait_ms, await self._turn(catalog))
        return max(1, wait_ms)

    async def _turn(self, catalog: str) -> int:
        newest = self._control.newest(catalog)
        written = self._written.get(catalog, -1)
        if newest is not None and newest.missing and newest.payload.epoch_id > written:
            log.info("a marker is completed", catalog=catalog, epoch_id=newest.payload.epoch_id, lanes=newest.missing)
            await self._say(catalog, _Marker(newest.payload.epoch_id, newest.missing, newest.value))
            return READ_BACK_MS
        last = self._control.last_epoch(catalog)
        if last < written or (newest is not None and newest.missing):
            return READ_BACK_MS
        now = self._control.in_force(catalog)
        following = self._control.ready(catalog)
        if newest is not None and now is not None:
            await self._note(newest.payload, now)
        self._look(catalog, now, following, begun=last >= 0)
        judge = _judge(now, following)
        if judge is None or catalog in self.problems:
            return LONGEST_SLEEP_MS
        await self._carry(catalog, last)
        epoch_ms, lateness_ms = judge.payload.epoch_ms, self._lateness_ms(catalog)
        due = epoch_of(max(0, self._clock.now_ms() - lateness_ms), epoch_ms) - 1
        if due <= last:
            return epoch_window(last + 1, epoch_ms)[1] + lateness_ms - self._clock.now_ms()
        await self._say(catalog, self._marker(catalog, due, now, following, epoch_ms))
        metrics.MARKERS.labels(catalog).inc()
        late_ms = self._clock.now_ms() - epoch_window(due, epoch_ms)[1] - lateness_ms
        metrics.MARKER_DELAY_SECONDS.labels(catalog).set(late_ms / 1000)
        if now is not None and now.lanes:
            metrics.MISSED.labels(catalog).inc(due - last - 1)
        if following is not None:
            generation = following.payload.generation
            log.info("a generation takes force", catalog=catalog, generation=generation, epoch_id=due)
        return READ_BACK_MS

    async def _say(self, catalog: str, marker: _Marker) -> None:
        with epoch_span("epoch marker", catalog, marker.epoch_id, first=True):
            headers = inject(epoch_trace(catalog, marker.epoch_id))
            await self._writer.say(marker.targets, marker.value, headers)
        self._written[catalog] = marker.epoch_id

    def _marker(
        self, catalog: str, epoch_id: int, now: DefinedSet | None, following: DefinedSet | None, epoch_ms: int
    ) -> _Marker:
        start_ms, end_ms = epoch_window(epoch_id, epoch_ms)
        payload = EpochEndPayload(
            catalog=catalog,
            epoch_id=epoch_id,
            window_start_ms=start_ms,
            window_end_ms=end_ms,
            generation=0 if now is None else now.payload.generation,
            lanes=() if now is None else now.lanes,
            next=None if following is None else NextGeneration(following.payload.generation, following.hash.hex()),
        )
        # the time of receipt is the window's end, so that another run writes the same bytes
        event = raw_event(SOURCE, f"{catalog}:{epoch_id}", "", None, EPOCH_END, end_ms, end_ms, payload)
        targets = sorted({*payload.lanes, *(() if following is None else following.lanes)})
        return _Marker(epoch_id, tuple(targets), encode_raw(signed(event, self._genesis_hash, self._sign)))

    async def _note(self, newest: EpochEndPayload, now: DefinedSet) -> None:
        """Note outside `m0.raw` which set is in force behind the newest marker, which all lanes have."""
        noted, at_ms = self._noted.get(newest.catalog, (b"", 0))
        if noted == now.hash and newest.window_end_ms < at_ms + NOTE_MS:
            return
        known = InForce(newest.catalog, now.value, newest.epoch_id)
        await self._writer.write(cursors={IN_FORCE + newest.catalog: known})
        self._noted[newest.catalog] = now.hash, newest.window_end_ms

    async def _carry(self, catalog: str, epoch_id: int) -> None:
        """Say the set in force again where its copy will not last, at most once an epoch."""
        fading = self._control.fading(catalog, CARRY_MS)
        now = self._control.in_force(catalog)
        if fading and now is not None and self._carried.get(catalog) != epoch_id:
            await self._writer.say(fading, now.value)
            self._carried[catalog] = epoch_id

    def _look(self, catalog: str, now: DefinedSet | None, following: DefinedSet | None, *, begun: bool) -> None:
        """Renew what is to be said of a catalog."""
        self.problems.pop(catalog, None)
        self.notes.pop(catalog, None)
        for defined, lanes in self._control.waiting(catalog):
            where = ", ".join(map(str, lanes))
            self.notes[catalog] = (
                f"generation {defined.payload.generation} of {catalog} is missing in lanes {where}: "
                "say it again with 'm0 catalog set'"
            )
        judge = _judge(now, following)
        if begun and now is None:
            self.problems[catalog] = f"the set in force of {catalog} is not in m0.raw any more: say it again"
        elif judge is not None:
            rule = judge.payload.sources.get(SOURCE)
            if rule is None or rule.key != self._key or EPOCH_END not in rule.kinds:
                self.problems[catalog] = (
                    f"generation {judge.payload.generation} of {catalog} does not let source {SOURCE} end epochs "
                    f"with key {self._key}: give ingest the key file that it names, or set the catalog with this key"
                )


def _judge(now: DefinedSet | None, following: DefinedSet | None) -> DefinedSet | None:
    """The set whose clock writes the next marker: the one in force, or where no lane is the one to activate."""
    return now if now is not None and now.lanes else following
