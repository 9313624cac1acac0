"""Stage 4: final predictions of an epoch, from the lanes that its marker names, to one Merkle bundle.

It reads the catalog's partition of `m0.predictions`, in which the messages of the catalog's lanes are interleaved. A
lane that is far ahead of the others is passed over for a while and read again behind them. An epoch that a lane of it
has gone past without a word, since raw has lost what it would have said, is missed: nobody waits for it.

It is always the turn of one generation to close epochs, and its lanes are known. Whose turn is next comes with the
marker of any of them that puts it in force. Where each of them goes on behind a gap that has swallowed that marker, it
is the turn of the generation that the first of them comes into, as its signed `rebase` says: the one in force when it
was repaired. What other lanes have said of generations between is missed, for nobody tells their order any more. So the
same epochs are closed whatever was heard first, and none waits for what nobody can say.

Which release is in force at a place in the log, and who reads there, is in `bundle_releases`.
"""

from collections.abc import Collection, Container, Iterator, Sequence
from contextlib import suppress

from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import LaneMessage, Manifest, encode
from m0common.stream.core import Cut, LaneReport, Letter, Output, Rewind, Taken
from m0common.stream.records import Produce, Record
from m0common.stream.restored import Restored
from m0common.topics import BUNDLES, HEADERS, PREDICTIONS

from m0lanes.base import LaneStage, missing_beginning, remedy
from m0lanes.births import Birth, born
from m0lanes.bodies import Marker, Prediction, decode_body
from m0lanes.bundle_reading import Reading
from m0lanes.bundle_releases import Releases
from m0lanes.bundle_state import BundleState, Closed, Disagreement
from m0lanes.entities import Entities
from m0lanes.laned import decode_message
from m0lanes.slots import NO_RELEASE, Slot, restored_slot, runs
from m0lanes.strangers import about, heard

STAGE = 4
AHEAD_MAX = 8
"""So many epochs beyond the last closed one a lane is read; further it waits."""


class BundleCore(LaneStage[BundleState]):
    """Looks after one BundleState per catalog; a slot's lane is the catalog in its partition of `m0.predictions`.

    It closes what `releases` have said; nothing of their code is needed for that.
    """

    name = "bundle"
    stage = STAGE
    input_topic = PREDICTIONS.name

    def __init__(
        self, deployment: Deployment, releases: Container[bytes], build: bytes, ahead_max: int | None = AHEAD_MAX
    ) -> None:
        super().__init__(build, deployment, releases)
        self._ahead_max = ahead_max
        self._releases = Releases(releases, ordered=ahead_max is not None)
        self._readings: dict[Lane, Reading] = {}
        self._begins: dict[int, int] = {}
        """By partition: where its log began when it was taken over."""

    def feed(self, record: Record, only: Lane | None = None) -> Iterator[Output]:
        """See StageCore."""
        try:
            message = decode_message(record.value)
            lane = Lane(message.catalog, record.partition)
            newborn = born(message, self._deployment) if message.kind == "rebased" else None
            slot = heard(self._slots, lane, message, self._fresh, newborn=newborn is not None)
        except DeadLetterError as error:
            if only is None:
                yield Letter(record, error)
            return
        reading = self._reading(lane)
        is_call = newborn is not None or self._releases.is_first(slot, message)
        if slot.passed and is_call and message.release in self._here and reading.called is None:
            reading.called = record.offset
        if not slot.takes(only):
            self._pass_by(slot, message)
            return
        is_new, is_beyond = not _had(slot, message), slot.state.is_beyond(message)
        if slot.release == NO_RELEASE and is_new and is_beyond:
            slot.release = message.release
        if self._releases.is_others(slot, reading, record.offset):
            slot.lacks = slot.release
            reading.waiting.clear()
            self._pass_by(slot, message)
            return
        if is_new and self._releases.is_first(slot, message):
            reading.waiting.setdefault(message.partition, record.offset)
            yield from self._go_on(slot, record, message.release)
            return
        keeps = self._releases.keeps(reading, record.offset, message.release)
        if slot.retired and is_new and is_beyond:
            if self._releases.ordered or message.release not in self._here:
                yield from self._return(slot, record, message)
                return
            slot.retired, slot.release = False, message.release
        elif newborn is not None and is_new and not (slot.retired or keeps):
            self._give_away(slot, message.release)
            return
        holes = len(slot.holes)
        if self._waits(slot, record, message) or not self._next(slot, record, message):
            if len(slot.holes) > holes and not slot.stranger:
                yield self._cut(slot)
            return
        begins = slot.position == 1 or slot.retired
        try:
            yield from self._take(slot, record, message, newborn)
        except DeadLetterError as error:
            if message.release in self._here:
                yield Letter(record, error, Taken(slot.lane, slot.position))
        except Disagreement as error:
            slot.park(f"{error}: replay both lanes to see which one is wrong")
            yield self._cut(slot)
        if begins:
            yield from self._born(slot)

    def _take(
        self, slot: Slot[BundleState], record: Record, message: LaneMessage, newborn: Birth | None
    ) -> Iterator[Output]:
        if message.kind == "prediction":
            slot.state.predicted(message.partition, decode_body(message.body, Prediction))
            return
        if message.kind == "generation":
            return  # the marker says all that this stage needs of it
        if newborn is not None:
            closed = slot.state.reborn(message.partition, newborn)
            yield from self._reborn(slot, message.release)
            yield from self._close(slot, record, closed, message.release)
            if not closed:
                yield from self._read_on(slot, ended=slot.retired)
            return
        if message.kind != "marker":
            raise DeadLetterError("unknown_body", f"{message.kind!r} does not come before this stage")
        marker, in_force = decode_body(message.body, Marker), self._releases.in_force(slot)
        closed = slot.state.passed(message.partition, message.life, message.release, marker, in_force)
        yield from self._close(slot, record, closed)
        if not closed:
            yield from self._read_on(slot, ended=False)

    def _reborn(self, slot: Slot[BundleState], release: bytes) -> Iterator[Output]:
        """A lane has begun a life under a release, which is in force from here on."""
        changes, slot.release = release != slot.release, release
        yield self._cut(slot)
        if changes and not slot.retired:
            self._reading(slot.lane).strange.clear()
            yield from self._again(slot)

    def _close(
        self, slot: Slot[BundleState], record: Record, closed: Sequence[Closed], reborn: bytes = b""
    ) -> Iterator[Output]:
        """Say epochs that are closed, and go on behind them or leave that to others; `reborn` is the release of the
        life that closed them by beginning, which is in force whatever they say.
        """
        if not closed:
            return
        key, (_, partition) = slot.lane.catalog.encode(), slot.place
        for epoch in closed:
            for piece in epoch.pieces:
                yield Produce(BUNDLES.name, partition, key, piece, record.headers)
            yield Produce(HEADERS.name, partition, key, encode(epoch.header), record.headers)
            slot.out_seq += 1
        newest, reading, before = closed[-1], self._reading(slot.lane), slot.release
        slot.release, slot.retired = reborn or newest.release, newest.ends
        reading.pinned = False
        yield self._cut(slot, newest.marker.epoch_id, newest.marker.window_end_ms, newest.following)
        slot.release = reborn or newest.in_force
        if slot.release != before:
            reading.strange.clear()
        if self._releases.keeps(reading, record.offset, slot.release):
            yield from self._again(slot)
        else:
            slot.lacks = slot.release
            reading.waiting.clear()

    def _again(self, slot: Slot[BundleState]) -> Iterator[Output]:
        """Read again what had to wait."""
        waiting = self._reading(slot.lane).waiting
        if waiting:
            slot.apart = True
            yield Rewind(slot.lane, min(waiting.values()))
            waiting.clear()

    def _read_on(self, slot: Slot[BundleState], *, ended: bool) -> Iterator[Output]:
        """Go on with lanes that waited for epochs of which it turns out that nobody will ever close them; also where
        the catalog has `ended` and a new life tells that what comes next is missed.
        """
        reading = self._reading(slot.lane)
        reading.ahead &= reading.waiting.keys()
        if (ended and reading.waiting) or any(not self._is_ahead(slot, partition) for partition in reading.ahead):
            waiting, reading.waiting = reading.waiting, {}
            slot.apart = True
            yield Rewind(slot.lane, min(waiting.values()))

    def _is_ahead(self, slot: Slot[BundleState], partition: int) -> bool:
        return self._ahead_max is not None and slot.state.waiting(partition) >= self._ahead_max

    def _give_away(self, slot: Slot[BundleState], release: bytes) -> None:
        """The catalog is somebody else's, who stands at least one message further from here on."""
        slot.retired, slot.release, slot.lacks = False, release, release
        slot.position += 1
        self._reading(slot.lane).waiting.clear()

    def _return(self, slot: Slot[BundleState], record: Record, message: LaneMessage) -> Iterator[Output]:
        """A message that goes beyond where the catalog has ended waits for the marker that says who goes on."""
        reading = self._reading(slot.lane)
        reading.waiting.setdefault(message.partition, record.offset)
        if not slot.state.is_next(message):
            if not reading.pinned:
                # from here on the log is read again by everybody who waits
                reading.pinned = True
                slot.position += 1
                yield self._cut(slot)
        else:
            yield from self._go_on(slot, record, message.release)

    def _go_on(self, slot: Slot[BundleState], record: Record, release: bytes) -> Iterator[Output]:
        """A marker that had to wait says what is in force from here on: it is read again, or left to others."""
        if self._releases.keeps(self._reading(slot.lane), record.offset, release):
            slot.retired, slot.release = False, release
            yield from self._again(slot)
        else:
            self._give_away(slot, release)

    def _waits(self, slot: Slot[BundleState], record: Record, message: LaneMessage) -> bool:
        """Whether this lane is so far ahead of the others that it must wait, or speaks under a release that is not in
        force: the others have not come to where it takes force, or the lane is yet to begin a new life.
        """
        reading = self._reading(slot.lane)
        life, _ = slot.input_seqs.get(message.partition, (0, 0))
        if message.kind == "rebased" and message.life > life:
            # a new life says again what is missing of the old one
            reading.waiting.pop(message.partition, None)
            reading.strange.pop(message.partition, None)
            return False
        had, hears = _had(slot, message), self._releases.hears(slot, message.release)
        if message.kind == "marker" and not (had or hears):
            with suppress(DeadLetterError):
                reading.note_strange(message, decode_body(message.body, Marker), slot.state.generation)
        if message.partition in reading.waiting:
            return True
        is_ahead = self._is_ahead(slot, message.partition)
        if had or (hears and not is_ahead):
            return False
        if is_ahead:
            reading.ahead.add(message.partition)
        reading.waiting[message.partition] = record.offset
        return True

    def _next(self, slot: Slot[BundleState], record: Record, message: LaneMessage) -> bool:
        """Whether the catalog has not had this message yet and may take it.

        Behind a hole nothing more of that lane is taken until its next life begins; the other lanes go on.
        """
        if _had(slot, message):
            return False
        life, last = slot.input_seqs.get(message.partition, (0, 0))
        if message.life == life and message.partition in slot.holes:
            return False
        if message.life > life and message.kind != "rebased":
            slot.holes[message.partition] = missing_beginning(message)
            return False
        expected = last + 1 if message.life == life else 1
        if message.seq > expected:
            slot.holes[message.partition] = (
                f"catalog {message.catalog} expects message {expected} of lane {message.partition}, not {message.seq} "
                f"at {record.topic}/{record.partition}@{record.offset}: "
                f"{about(slot)}{remedy(Lane(message.catalog, message.partition))}"
            )
            return False
        slot.holes.pop(message.partition, None)
        slot.input_offset = record.offset
        slot.input_seqs[message.partition] = (message.life, message.seq)
        slot.position += 1
        return True

    def _miss(self, slot: Slot[BundleState], reason: str) -> None:
        # each lane's next life is a new beginning; until then nothing is known to be whole
        slot.holes |= dict.fromkeys(slot.input_seqs, reason)

    def _begin_life(self, slot: Slot[BundleState], found: Restored) -> Iterator[Output]:
        raise AssertionError(f"{slot.lane}: this stage keeps what it has closed, {found.manifest.life}")

    def called(self) -> Collection[Lane]:
        """See StageCore."""
        return [lane for lane, reading in self._readings.items() if reading.called is not None]

    def adopts(self, manifest: Manifest) -> bool:
        """See StageCore. A catalog that is called goes on from any state: what was said up to the call is taken."""
        slot = self._slots.get(Lane(manifest.catalog, manifest.partition))
        if slot is None or not slot.passed or self._reading(slot.lane).called is None:
            return super().adopts(manifest)
        return manifest.stage == STAGE

    def _is_ours(self, manifest: Manifest) -> bool:
        # a state made from a header says nothing of who goes on, and one that is called is read here, whoever wrote it
        reading = self._readings.get(Lane(manifest.catalog, manifest.partition))
        called = reading is not None and reading.called is not None
        return called or manifest.runner == NO_RELEASE or super()._is_ours(manifest)

    def _cut(
        self,
        slot: Slot[BundleState],
        epoch_id: int | None = None,
        window_end_ms: int = 0,
        following: bytes = NO_RELEASE,
    ) -> Cut:
        held_from = min(self._reading(slot.lane).waiting.values(), default=None)
        return self._slots.cut(slot, epoch_id, window_end_ms, (held_from, 0), following)

    def reports(self) -> list[LaneReport]:
        """See StageCore."""
        return [
            report if report.parked is not None or report.lacks is not None else report._replace(parked=reason)
            for report in super().reports()
            for reason in [self._problem(report.lane, report.release)]
        ]

    def _problem(self, lane: Lane, release: bytes) -> str | None:
        """Why a catalog, whose lanes speak under `release`, closes no epochs, None as far as is known."""
        slot, reading = self._slots.get(lane), self._reading(lane)
        strange = reading.problem(lane.catalog, release)
        if strange is not None or slot is None:
            return strange
        return slot.state.stuck(reading.ahead & reading.waiting.keys())

    def resume(
        self, partition: int, restored: Sequence[Restored], begin: int, end: int, lost: Sequence[Manifest] = ()
    ) -> int | None:
        """See StageCore."""
        self._begins[partition] = begin
        return super().resume(partition, restored, begin, end, lost)

    def _changed(self) -> None:
        known = {slot.lane for slot in self._slots.all()}
        self._readings = {lane: reading for lane, reading in self._readings.items() if lane in known}

    def _reading(self, lane: Lane) -> Reading:
        return self._readings.setdefault(lane, Reading())

    def _fresh(self, lane: Lane, release: bytes) -> Slot[BundleState]:
        state = BundleState(lane.catalog, Entities(), self._deployment.control_key)
        slot = Slot(lane, state, (HEADERS.name, lane.partition), release)
        slot.give(release, self._here)
        return slot

    def _restored(self, found: Restored) -> tuple[Slot[BundleState], int]:
        lane = Lane(found.manifest.catalog, found.manifest.partition)
        called = self._reading(lane).called
        # a state made from a header says nothing of who goes on: the next message does
        release = found.manifest.runner
        foreign = called is None and release != NO_RELEASE and release not in self._here
        entities = self._entities(found, foreign=foreign)
        state = BundleState(lane.catalog, entities, self._deployment.control_key)
        slot = restored_slot(Slot(lane, state, (HEADERS.name, lane.partition)), found)
        slot.lacks = slot.release if foreign and not runs(found.manifest, self._here) else None
        start = slot.input_offset + 1 if found.manifest.held_from is None else found.manifest.held_from
        self._readings[lane] = Reading(until=called or 0, pinned=found.manifest.held_from is not None)
        if called is None:
            return slot, start
        begin = self._begins.get(lane.partition, 0)
        return slot, called if slot.position == 0 else max(begin, min(start, called))


def _had(slot: Slot[BundleState], message: LaneMessage) -> bool:
    """Whether a message is a repeat."""
    return (message.life, message.seq) <= slot.input_seqs.get(message.partition, (0, 0))
