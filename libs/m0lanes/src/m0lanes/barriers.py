"""Stage 1: sets that are defined, markers that close epochs, and what follows from a marker."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress

from m0common.errors import DeadLetterError
from m0common.messages import RawEvent
from m0common.stream.core import Cut, Output, Rewind
from m0common.stream.records import Record
from msgspec.structs import replace

from m0lanes.births import hash_of
from m0lanes.control import CatalogSetPayload, EpochEndPayload
from m0lanes.holding import Refill
from m0lanes.normalize_state import NormalizeState
from m0lanes.observations import Observations
from m0lanes.packing import pack
from m0lanes.place import Missing
from m0lanes.port import Domain
from m0lanes.routes import Routes
from m0lanes.slots import Slot, Slots

EVER_MS = 1 << 64
"""Every event is dated before this."""


class Barriers:
    """The lanes' sets and markers."""

    def __init__(
        self,
        slots: Slots[NormalizeState],
        domains: Mapping[bytes, Domain],
        routes: Routes,
        observations: Observations,
    ) -> None:
        self._slots = slots
        self._domains = domains
        self._routes = routes
        self._observations = observations

    # --- sets --------------------------------------------------------------------------------------------------------

    def define(
        self, slot: Slot[NormalizeState], record: Record, event: RawEvent, payload: CatalogSetPayload
    ) -> Iterator[Output]:
        """A set, perhaps the first of a lane that is not looked after yet. Raises DeadLetterError."""
        if record.offset <= slot.input_offset:
            return
        new = slot.state.define(event, payload)
        if self._slots.get(slot.lane) is None:
            self._slots.add(slot)
        slot.input_offset = record.offset
        slot.position += 1
        # anybody may carry copies of a set: they cost no checkpoint
        if new:
            yield self.cut(slot)

    def found(self, slot: Slot[NormalizeState], event: RawEvent, payload: CatalogSetPayload) -> Iterator[Output]:
        """A lane that is parked for want of a set reads one. With the right one it goes back to where it parked.

        Raises DeadLetterError.
        """
        state = slot.state
        if not state.define(event, payload):
            return
        slot.position += 1
        found = state.missing in state.sets
        if found:
            state.missing = None
            slot.parked, slot.apart = None, True
        yield self.cut(slot)
        if found:
            yield Rewind(slot.lane, slot.input_offset + 1)

    # --- markers -----------------------------------------------------------------------------------------------------

    def marker(
        self, slot: Slot[NormalizeState], record: Record, event: RawEvent, payload: EpochEndPayload
    ) -> Iterator[Output]:
        """A marker: its epoch is closed once what is held of its window is applied. Raises DeadLetterError."""
        state = slot.state
        refill = state.refilling(record.offset)
        if refill is not None:
            yield from self._again(slot, refill, record, event, payload)
            return
        if record.offset <= slot.input_offset:
            return
        if state.joins is not None:
            yield from self._behind_gap(slot, record, event, payload)
            return
        try:
            counts = state.counts(event, payload)
        except Missing as missing:
            yield self._missed(slot, missing)
            return
        closes = counts and state.in_force is not None
        if closes:
            self._keep_release(slot, record)
            # what was held for the epochs that were skipped
            if (yield from self._apply_held(slot, state.place.open_end_ms, payload.window_end_ms, record.offset - 1)):
                return
        slot.input_offset = record.offset
        slot.position += 1
        if not counts:
            return
        if not closes:
            state.note(payload)
            yield from self.go_on(slot, record)
            yield self.cut(slot)
            return
        marker = state.closing(payload, hash_of(slot.rebase))
        state.note(payload)
        said = replace(marker, state_digests=(state.entities.digest(),))
        yield slot.say("marker", pack(said), record.offset, record.headers)
        yield self.cut(slot, payload.epoch_id, payload.window_end_ms)
        yield from self.go_on(slot, record)

    def _behind_gap(
        self, slot: Slot[NormalizeState], record: Record, event: RawEvent, payload: EpochEndPayload
    ) -> Iterator[Output]:
        """A marker behind a gap: the lane goes on from it, or it is passed over. Raises DeadLetterError."""
        state = slot.state
        try:
            key = state.joined(event, payload)
        except Missing as missing:
            yield self._missed(slot, missing)
            return
        slot.input_offset = record.offset
        slot.position += 1
        if key is None:
            return
        # the release of the rebase holds in the generation that was in force, of which nothing begins here
        stays = payload.next is None
        state.come_in(payload, key)
        yield from self.go_on(slot, record, stays=stays)
        yield self.cut(slot)

    def _again(
        self,
        slot: Slot[NormalizeState],
        refill: Refill,
        record: Record,
        event: RawEvent,
        payload: EpochEndPayload,
    ) -> Iterator[Output]:
        if record.offset == refill.until:
            slot.state.refilled()
            if refill.at_marker:
                yield from self.go_on(slot, record)
            return
        with suppress(DeadLetterError, Missing):
            if slot.state.counts(event, payload, refill.place):
                refill.place = slot.state.behind(refill.place, payload)

    def _missed(self, slot: Slot[NormalizeState], missing: Missing) -> Cut:
        catalog = slot.lane.catalog
        if missing.key is not None:
            slot.state.missing = missing.key
            remedy = f"write the missing set into partition {slot.lane.partition} with 'm0 catalog set {catalog}'"
        else:
            remedy = f"begin a new life with 'm0 lane rebase {catalog}'"
        slot.park(f"{missing}: {remedy}")
        return self.cut(slot)

    def go_on(self, slot: Slot[NormalizeState], record: Record, *, stays: bool = False) -> Iterator[Output]:
        """What follows a marker: the next generation takes force, and what waited for the window is applied. With
        `stays` it is in force already, and the lane keeps its release.
        """
        state = slot.state
        self._keep_release(slot, record)
        if stays:
            state.kept = slot.release
        if state.pending is not None:
            following = state.sets[state.pending]
            release = state.release_of(following)
            if slot.lane.partition in following.lanes and release not in self._domains:
                slot.lacks = release
                return
            # at a lane's end all that waits is dropped, and looked at for that
            if state.ends and (
                yield from self._apply_held(slot, state.last_end_ms, EVER_MS, record.offset, at_marker=True)
            ):
                return
            slot.release = release
            said = state.activate(self._domains)
            slot.retired = state.retired
            # who lacks the release saves the state before this, and states are told apart by where they stand
            slot.position += 1
            self._routes.make(self._slots.all())
            if said is None:
                # the state behind its end, so that nobody needs the marker again
                yield self.cut(slot)
                return
            for kind, body in said:
                yield slot.say(kind, body, record.offset, record.headers)
        yield from self._apply_held(slot, state.last_end_ms, state.place.open_end_ms, record.offset)

    def _apply_held(
        self, slot: Slot[NormalizeState], from_ms: int, below_ms: int, until: int, *, at_marker: bool = False
    ) -> Generator[Output, None, bool]:
        """Apply what is held and dated before `below_ms`, of which all that is dated at or after `from_ms` still is.

        Whether some of it is not at hand: the lane leaves the log's cursor then, reads it again up to the offset
        `until`, and says no checkpoint on the way.
        """
        for held in slot.state.take(below_ms):
            yield from self._observations.apply_held(slot, held)
        refill = slot.state.take_beyond(from_ms, below_ms, until, at_marker=at_marker)
        if refill is None:
            return False
        slot.apart = True
        yield Rewind(slot.lane, refill.since)
        return True

    @staticmethod
    def _keep_release(slot: Slot[NormalizeState], record: Record) -> None:
        """A new life reads what stood before its rebase under its own release, whatever was in force there."""
        slot.state.kept = slot.release if record.offset <= slot.born_at else None

    # --- checkpoints -------------------------------------------------------------------------------------------------

    def cut(self, slot: Slot[NormalizeState], epoch_id: int | None = None, window_end_ms: int = 0) -> Cut:
        """A checkpoint of a lane as it is now; with an epoch that of its marker."""
        state = slot.state
        state.write_back()
        first = state.holding.first()
        held = (None, state.place.open_end_ms) if first is None else (first.offset, first.place.open_end_ms)
        ends = epoch_id is not None and state.ends
        return self._slots.cut(slot, epoch_id, window_end_ms, held, state.follower, retired=ends)
