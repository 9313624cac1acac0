"""Stage 4: final predictions of an epoch, from the lanes that its marker names, to one Merkle bundle.

It reads the catalog's partition of `m0.predictions`, in which the messages of the catalog's lanes are interleaved. A
lane that is far ahead of the others is passed over for a while and read again behind them.
"""

from collections.abc import Collection, Container, Iterator

from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import LaneMessage, Manifest, encode
from m0common.stream.core import Cut, Letter, Output, Rewind, Taken
from m0common.stream.records import Produce, Record
from m0common.stream.states import Restored
from m0common.topics import BUNDLES, HEADERS, PREDICTIONS

from m0lanes.base import LaneStage, missing_beginning, remedy
from m0lanes.births import Birth, born
from m0lanes.bodies import Marker, Prediction, decode_body
from m0lanes.bundle_state import BundleState, Disagreement
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
        self._passed_over: dict[Lane, dict[int, int]] = {}
        """By catalog: the lanes that wait, and the offset of the first message that was not taken of each."""
        self._called: dict[Lane, int] = {}
        """Catalogs that somebody else closed until a lane of theirs began a life under a release of ours, and where
        it did: who closed them closes no more.
        """

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
        if slot.passed and newborn is not None and message.release in self._here:
            # the newest state of who closed it until now is adopted, which may be one of before this process
            self._called.setdefault(lane, record.offset)
        if slot.retired and message.release not in self._here and not _had(slot, message):
            # it returns to somebody else, who stands at least one message further from here on
            slot.retired, slot.lacks = False, message.release
            slot.position += 1
        if not slot.takes(only):
            self._pass_by(slot, message)
            return
        holes = len(slot.holes)
        if self._waits(slot, record, message) or not self._next(slot, record, message):
            if len(slot.holes) > holes and not slot.stranger:
                yield self._cut(slot)
            return
        begins = slot.position == 1 or slot.retired
        if slot.retired:
            slot.retired, slot.release = False, message.release
        try:
            yield from self._take(slot, record, message, newborn)
        except DeadLetterError as error:
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
        if newborn is not None:
            slot.state.reborn(message.partition, newborn)
            slot.release = message.release
            yield self._cut(slot)
            return
        if message.kind == "generation":
            return  # the marker says all that this stage needs of it
        if message.kind != "marker":
            raise DeadLetterError("unknown_body", f"{message.kind!r} does not come before this stage")
        marker = decode_body(message.body, Marker)
        closed = slot.state.passed(message.partition, message.life, message.release, marker)
        if not closed:
            return
        key, (_, partition) = slot.lane.catalog.encode(), slot.place
        for epoch in closed:
            for piece in epoch.pieces:
                yield Produce(BUNDLES.name, partition, key, piece, record.headers)
            yield Produce(HEADERS.name, partition, key, encode(epoch.header), record.headers)
            slot.out_seq += 1
        newest = closed[-1]
        slot.release, following = newest.release, newest.following
        slot.retired = newest.ends and slot.lane not in self._passed_over
        yield self._cut(slot, newest.marker.epoch_id, newest.marker.window_end_ms, following)
        waiting = self._passed_over.pop(slot.lane, None)
        if following not in (NO_RELEASE, slot.release) and following not in self._here:
            slot.lacks = following
        elif waiting:
            slot.apart = True
            yield Rewind(slot.lane, min(waiting.values()))

    def _waits(self, slot: Slot[BundleState], record: Record, message: LaneMessage) -> bool:
        """Whether this lane is so far ahead of the others that it must wait, or somebody else's already."""
        waiting = self._passed_over.get(slot.lane, {})
        life, _ = slot.input_seqs.get(message.partition, (0, 0))
        if message.kind == "rebased" and message.life > life and message.release in self._here:
            # a new life says again what is missing of the old one
            waiting.pop(message.partition, None)
            return False
        if message.partition in waiting:
            return True
        if _had(slot, message):
            return False
        is_ahead = self._ahead_max is not None and slot.state.waiting(message.partition) >= self._ahead_max
        if not is_ahead and message.release in self._here:
            return False
        self._passed_over.setdefault(slot.lane, {})[message.partition] = record.offset
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
        return self._called.keys()

    def adopts(self, manifest: Manifest) -> bool:
        """See StageCore. A catalog that is called goes on from any newest state."""
        lane = Lane(manifest.catalog, manifest.partition)
        slot = self._slots.get(lane)
        if lane not in self._called or slot is None or not slot.passed:
            return super().adopts(manifest)
        return manifest.stage == STAGE and (manifest.life, manifest.position) >= slot.stands

    def _is_ours(self, manifest: Manifest) -> bool:
        # a state made from a header says nothing of who goes on, and one that is called is read here, whoever wrote it
        called = Lane(manifest.catalog, manifest.partition) in self._called
        return called or manifest.runner == NO_RELEASE or super()._is_ours(manifest)

    def _cut(
        self,
        slot: Slot[BundleState],
        epoch_id: int | None = None,
        window_end_ms: int = 0,
        following: bytes = NO_RELEASE,
    ) -> Cut:
        waiting = self._passed_over.get(slot.lane)
        held_from = min(waiting.values()) if waiting else None
        return self._slots.cut(slot, epoch_id, window_end_ms, (held_from, 0), following)

    def _changed(self) -> None:
        known = {slot.lane for slot in self._slots.all()}
        self._passed_over = {lane: waiting for lane, waiting in self._passed_over.items() if lane in known}
        self._called = {lane: offset for lane, offset in self._called.items() if lane in known}

    def _fresh(self, lane: Lane, release: bytes) -> Slot[BundleState]:
        state = BundleState(lane.catalog, Entities(), self._deployment.control_key)
        slot = Slot(lane, state, (HEADERS.name, lane.partition), release)
        slot.give(release, self._here)
        return slot

    def _restored(self, found: Restored) -> tuple[Slot[BundleState], int]:
        lane = Lane(found.manifest.catalog, found.manifest.partition)
        called = self._called.pop(lane, None)
        # a state made from a header says nothing of who goes on: the next message does
        release = found.manifest.runner
        foreign = called is None and release != NO_RELEASE and release not in self._here
        entities = self._entities(found, foreign=foreign)
        state = BundleState(lane.catalog, entities, self._deployment.control_key)
        slot = restored_slot(Slot(lane, state, (HEADERS.name, lane.partition)), found)
        slot.lacks = slot.release if foreign and not runs(found.manifest, self._here) else None
        start = slot.input_offset + 1 if found.manifest.held_from is None else found.manifest.held_from
        if called is None:
            return slot, start
        return slot, called if slot.position == 0 else min(start, called)


def _had(slot: Slot[BundleState], message: LaneMessage) -> bool:
    """Whether a message is a repeat."""
    return (message.life, message.seq) <= slot.input_seqs.get(message.partition, (0, 0))
