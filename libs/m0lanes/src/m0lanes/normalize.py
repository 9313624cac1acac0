"""Stage 1: raw events to what the lanes work with. The first reader of the log, behind the door.

A record is routed (envelope, group, catalog), then held back or applied by each lane that names its group. Control
kinds take effect where they stand.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from m0common.canonical import rebase_hash
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import RawEvent
from m0common.stream.core import Cut, Letter, Load, Output, Rewind
from m0common.stream.records import Record
from m0common.stream.states import Restored
from m0common.topics import NORMALIZED, RAW
from msgspec.structs import replace

from m0lanes.applied import Applied, Dropped
from m0lanes.base import LaneStage
from m0lanes.bodies import Rebased
from m0lanes.control import (
    LANE_KINDS,
    PAYLOADS,
    CatalogSetPayload,
    EpochEndPayload,
    RebasePayload,
)
from m0lanes.door import decode_event, decode_payload
from m0lanes.entities import Entities
from m0lanes.generations import lanes_of, partition_of
from m0lanes.holding import Held, Refill
from m0lanes.normalize_state import NormalizeState
from m0lanes.packing import pack
from m0lanes.place import NO_GROUP, Missing
from m0lanes.port import Domain
from m0lanes.slots import NO_RELEASE, Slot, reborn, restored_slot, runner, runs, state_in

STAGE = 1
OTHERS = "others"
"""Under this name sources are counted that no catalog lists."""
IDLE_RECORDS = 4_096
"""A lane that took none of so many records says so in a checkpoint, and is not read from there again."""


class NormalizeCore(LaneStage[NormalizeState]):
    """See StageCore. `only` restricts it to some catalogs, as replay does; others are passed over."""

    name = "normalize"
    stage = STAGE
    input_topic = RAW.name
    tolerant = True

    def __init__(
        self, deployment: Deployment, domains: Mapping[bytes, Domain], build: bytes, only: frozenset[str] | None = None
    ) -> None:
        super().__init__(build, domains)
        self._deployment = deployment
        self._domains = domains
        self._only = only
        self._routes: dict[tuple[int, str], list[Slot[NormalizeState]]] = {}
        """By partition and group."""
        self._refills: dict[Lane, Refill] = {}
        self._rebases: dict[Lane, tuple[RebasePayload, bytes, Record]] = {}
        self._missing: dict[Lane, tuple[int, bytes]] = {}
        """Lanes parked for want of a set, by its number and hash."""
        self._read: dict[int, int] = {}
        """By partition: the offset of the last record of the common cursor."""
        self._said: dict[int, int] = {}
        """By partition: up to here letters about form are written, for a checkpoint is written behind what was said."""
        self.drops: Counter[tuple[str, str]] = Counter()

    # --- records -----------------------------------------------------------------------------------------------------

    def feed(self, record: Record, only: Lane | None = None) -> Iterable[Output]:
        """See StageCore."""
        if only is None:
            self._read[record.partition] = record.offset
        try:
            event = decode_event(record.value)
            if event.kind in LANE_KINDS:
                return self._controlled(record, event, only)
            slots = self._routed(record, event)
        except DeadLetterError as error:
            return self._letter(record, error, only)
        taking = [slot for slot in slots if slot.takes(only) and not slot.state.retired]
        if len(taking) == 1:
            return self._observe(taking[0], record, event)
        return [output for slot in taking for output in self._observe(slot, record, event)]

    def _letter(self, record: Record, error: DeadLetterError, only: Lane | None) -> Sequence[Output]:
        """A letter about a record's form, unless a checkpoint behind it stands for it."""
        if only is not None or record.offset <= self._said.get(record.partition, -1):
            return ()
        return [Letter(record, error)]

    def _routed(self, record: Record, event: RawEvent) -> Sequence[Slot[NormalizeState]]:
        if not event.group:
            raise DeadLetterError(
                "invalid_event", f"{event.kind}: the group is empty, it names what shares model state"
            )
        right = partition_of(event.group, self._deployment.partitions)
        if right != record.partition:
            raise DeadLetterError(
                "wrong_partition",
                f"group {event.group!r} lives in partition {right}: write it with key {event.group!r}",
            )
        slots = self._routes.get((record.partition, event.group))
        if slots is None:
            self.drops[OTHERS, NO_GROUP] += 1
            return ()
        return slots

    def _observe(self, slot: Slot[NormalizeState], record: Record, event: RawEvent) -> Sequence[Output]:
        state, refill = slot.state, self._refilling(slot, record) if self._refills else None
        if refill is not None:
            held = refill.held(record, event)
            if held is not None:
                state.holding.add(held)
            return ()
        if record.offset <= slot.input_offset:
            return ()
        slot.input_offset = record.offset
        slot.position += 1
        place = state.place
        why_not = place.verdict(event, record.append_ms)
        if why_not is not None:
            self._drop(slot, event, why_not)
        elif event.event_ms < place.open_end_ms:
            return self._apply(slot, record, event)
        else:
            state.holding.add(Held(record, event, place))
        return ()

    def _apply(self, slot: Slot[NormalizeState], record: Record, event: RawEvent) -> Sequence[Output]:
        now = slot.state.in_force
        if now is None or event.group not in now.groups:
            self._drop(slot, event, NO_GROUP)  # it was held, and its group is gone since
            return ()
        try:
            applied = slot.state.apply(event, record.append_ms)
        except DeadLetterError as error:
            if self._speaks_for(slot, record.partition, event.group):
                return [Letter(record, error)]
            self._drop(slot, event, error.error)
            return ()
        if isinstance(applied, Dropped):
            self._drop(slot, event, applied.value)
            return ()
        assert isinstance(applied, Applied)
        key = event.group.encode()
        return [slot.say(kind, body, record.offset, record.headers, key) for kind, body in applied.said]

    def _speaks_for(self, slot: Slot[NormalizeState], partition: int, group: str) -> bool:
        """Whether it is this lane that says the letters of a group; of two catalogs that name it, the first by name."""
        naming = (s for s in self._routes[partition, group] if (now := s.state.in_force) and group in now.groups)
        return next(naming) is slot

    def _drop(self, slot: Slot[NormalizeState], event: RawEvent, reason: str) -> None:
        now = slot.state.in_force
        listed = now is not None and now.rule(event.source) is not None
        self.drops[event.source if listed else OTHERS, reason] += 1

    # --- control -----------------------------------------------------------------------------------------------------

    def _controlled(self, record: Record, event: RawEvent, only: Lane | None) -> Iterator[Output]:
        try:
            yield from self._control(record, event, only)
        except DeadLetterError as error:
            yield from self._letter(record, error, only)

    def _control(self, record: Record, event: RawEvent, only: Lane | None) -> Iterator[Output]:
        payload = decode_payload(event, PAYLOADS)
        if self._only is not None and payload.catalog not in self._only:
            return
        lane = Lane(payload.catalog, record.partition)
        if only is not None and lane != only:
            return
        slot = self._slots.get(lane)
        if isinstance(payload, RebasePayload):
            yield from self._rebase(slot, record, event, payload)
            return
        if slot is not None and lane in self._missing:
            if isinstance(payload, CatalogSetPayload):
                yield from self._found(slot, event, payload)
            return
        if slot is not None and not slot.takes(only):
            if slot.passed and isinstance(payload, EpochEndPayload) and slot.state.is_clock(event):
                slot.goes_by(payload.epoch_id)
            return
        if isinstance(payload, CatalogSetPayload):
            yield from self._define(slot, lane, record, event, payload)
        elif slot is None:
            raise DeadLetterError(
                "unknown_lane", f"{event.kind}: no set of catalog {lane.catalog} was read in partition {lane.partition}"
            )
        else:
            assert isinstance(payload, EpochEndPayload)
            yield from self._marker(slot, record, event, payload)

    def _rebase(
        self, slot: Slot[NormalizeState] | None, record: Record, event: RawEvent, payload: RebasePayload
    ) -> Iterator[Output]:
        """A new life begins where this stands in the log, whatever became of the one before."""
        where = f"{payload.catalog}/{payload.partition}"
        if slot is None or payload.partition != record.partition:
            raise DeadLetterError(
                "unknown_lane", f"rebase of {where} in partition {record.partition}: no such lane here"
            )
        slot.state.check_rebase(event, payload)
        if payload.life <= slot.life:
            return
        self._rebases[slot.lane] = (payload, rebase_hash(bytes(event.payload)), record)
        slot.apart = True  # whatever follows in the log, this life is over
        yield Load(slot.lane, STAGE, payload.life, payload.epoch_id, bytes.fromhex(payload.roots[0]))

    def _begin_life(self, slot: Slot[NormalizeState], found: Restored) -> Iterator[Output]:
        payload, hashed, record = self._rebases.pop(slot.lane)
        release = bytes.fromhex(payload.release)
        self._refills.pop(slot.lane, None)
        self._missing.pop(slot.lane, None)
        entities = Entities(found.entities.items(), trie=found.trie)
        fresh = Slot(slot.lane, self._state(slot.lane, entities), slot.place)
        self._slots.add(reborn(fresh, found, payload.life, release, hashed))
        fresh.born_at = record.offset
        fresh.state.use(self._domains, release)
        fresh.retired = fresh.state.retired
        fresh.give(release, self._domains)
        self._route()
        if fresh.passed:
            return
        roots = tuple(bytes.fromhex(root) for root in payload.roots)
        said = Rebased(payload.epoch_id, release, (roots[0], roots[1], roots[2]), hashed)
        yield fresh.say("rebased", pack(said), record.offset, record.headers)
        manifest = found.manifest
        held: tuple[int | None, int] = (None, 0)
        refill = fresh.state.refill(manifest) if manifest.epoch_id is not None else None
        if refill is not None and payload.offset == manifest.input_offset + 1:
            self._refills[fresh.lane] = refill
            start = refill.since
            held = start, manifest.held_end
        else:
            # the lane begins anew, or what lies between is gone and it goes on behind the gap
            yield from self._go_on(fresh, record)
            fresh.input_offset, start = payload.offset - 1, payload.offset
        fresh.apart = True
        fresh.state.settle()
        yield self._slots.cut(fresh, held=held)
        yield Rewind(fresh.lane, start)

    def _define(
        self, slot: Slot[NormalizeState] | None, lane: Lane, record: Record, event: RawEvent, payload: CatalogSetPayload
    ) -> Iterator[Output]:
        if slot is None:
            if lane.partition not in lanes_of(payload):
                raise DeadLetterError(
                    "wrong_partition",
                    f"catalog_set of {lane.catalog} in partition {lane.partition}: it has no lane there",
                )
            fresh = self._fresh(lane)
            fresh.state.define(event, payload)
            slot = self._slots.add(fresh)
        else:
            if record.offset <= slot.input_offset:
                return
            slot.state.define(event, payload)
        slot.input_offset = record.offset
        slot.position += 1
        yield self._cut(slot)

    def _found(self, slot: Slot[NormalizeState], event: RawEvent, payload: CatalogSetPayload) -> Iterator[Output]:
        """A lane that is parked for want of a set reads one. With the right one it goes back to where it parked."""
        if not slot.state.define(event, payload):
            return
        slot.position += 1
        found = self._missing[slot.lane] in slot.state.sets
        if found:
            del self._missing[slot.lane]
            slot.parked, slot.apart = None, True
        yield self._cut(slot)
        if found:
            yield Rewind(slot.lane, slot.input_offset + 1)

    def _marker(
        self, slot: Slot[NormalizeState], record: Record, event: RawEvent, payload: EpochEndPayload
    ) -> Iterator[Output]:
        refill = self._refilling(slot, record)
        if refill is not None:
            yield from self._marker_again(slot, refill, record, event, payload)
            return
        if record.offset <= slot.input_offset:
            return
        try:
            counts = slot.state.counts(event, payload)
        except Missing as missing:
            if missing.key is not None:
                self._missing[slot.lane] = missing.key
                remedy = (
                    f"write the missing set into partition {record.partition} with 'm0 catalog set {slot.lane.catalog}'"
                )
            else:
                remedy = f"begin a new life with 'm0 lane rebase {slot.lane.catalog}'"
            slot.park(f"{missing}: {remedy}")
            yield self._cut(slot)
            return
        slot.input_offset = record.offset
        slot.position += 1
        if not counts:
            return
        if slot.state.in_force is None:
            slot.state.note(payload)
            yield from self._go_on(slot, record)
            yield self._cut(slot)
            return
        self._keep_release(slot, record)
        for held in slot.state.take(payload.window_end_ms):
            yield from self._apply(slot, held.record, held.event)
        marker = slot.state.closing(payload, slot.rebase)
        slot.state.note(payload)
        yield slot.say(
            "marker",
            pack(replace(marker, state_digests=(slot.state.entities.digest(),))),
            record.offset,
            record.headers,
        )
        yield self._cut(slot, payload.epoch_id, payload.window_end_ms)
        yield from self._go_on(slot, record)

    def _go_on(self, slot: Slot[NormalizeState], record: Record) -> Iterator[Output]:
        """What follows a marker: the next generation takes force, and what waited for the window is applied."""
        state = slot.state
        self._keep_release(slot, record)
        if state.pending is not None:
            following = state.sets[state.pending]
            release = state.release_of(following)
            if slot.lane.partition in following.lanes and release not in self._domains:
                slot.lacks = release
                return
            slot.release = release
            said = state.activate(self._domains)
            slot.retired = state.retired
            self._route()
            if said is None:
                # the state behind its end, so that nobody needs the marker again
                slot.position += 1
                yield self._cut(slot)
                return
            for kind, body in said:
                yield slot.say(kind, body, record.offset, record.headers)
        for held in state.take(state.place.open_end_ms):
            yield from self._apply(slot, held.record, held.event)

    @staticmethod
    def _keep_release(slot: Slot[NormalizeState], record: Record) -> None:
        """A new life reads what stood before its rebase under its own release, whatever was in force there."""
        slot.state.kept = slot.release if record.offset <= slot.born_at else None

    def _cut(self, slot: Slot[NormalizeState], epoch_id: int | None = None, window_end_ms: int = 0) -> Cut:
        slot.state.settle()
        first = slot.state.holding.first()
        held = (None, slot.state.place.open_end_ms) if first is None else (first.record.offset, first.place.open_end_ms)
        ends = epoch_id is not None and self._ends(slot)
        return self._slots.cut(slot, epoch_id, window_end_ms, held, slot.state.follower, retired=ends)

    @staticmethod
    def _ends(slot: Slot[NormalizeState]) -> bool:
        pending = slot.state.pending
        return pending is not None and slot.lane.partition not in slot.state.sets[pending].lanes

    # --- going on ----------------------------------------------------------------------------------------------------

    def _fresh(self, lane: Lane, release: bytes = NO_RELEASE) -> Slot[NormalizeState]:
        del release  # the generation in force says it
        return Slot(lane, self._state(lane, Entities()), (NORMALIZED.name, lane.partition))

    def _restored(self, found: Restored) -> tuple[Slot[NormalizeState], int]:
        manifest = found.manifest
        lane = Lane(manifest.catalog, manifest.partition)
        foreign = runner(manifest) not in self._domains
        state = state_in(found, lambda known: self._state(lane, known), foreign=foreign)
        slot = restored_slot(Slot(lane, state, (NORMALIZED.name, lane.partition)), found)
        state.use(self._domains, slot.release)
        if runner(manifest) != NO_RELEASE and not runs(manifest, self._domains):
            slot.lacks = slot.release
            return slot, slot.input_offset + 1
        slot.retired = state.retired
        self._said[lane.partition] = max(self._said.get(lane.partition, -1), manifest.input_offset)
        refill = state.refill(manifest)
        if refill is None:
            return slot, slot.input_offset + 1
        self._refills[lane] = refill
        return slot, refill.since

    def _refilling(self, slot: Slot[NormalizeState], record: Record) -> Refill | None:
        refill = self._refills.get(slot.lane)
        if refill is not None and record.offset > refill.until:
            del self._refills[slot.lane]
            return None
        return refill

    def _marker_again(
        self, slot: Slot[NormalizeState], refill: Refill, record: Record, event: RawEvent, payload: EpochEndPayload
    ) -> Iterator[Output]:
        if record.offset == refill.until:
            del self._refills[slot.lane]
            if refill.at_marker:
                yield from self._go_on(slot, record)
            return
        with suppress(DeadLetterError, Missing):
            if slot.state.counts(event, payload, refill.place):
                refill.place = slot.state.behind(refill.place, payload)

    def forget(self, partition: int) -> None:
        """See StageCore."""
        self._read.pop(partition, None)
        self._said.pop(partition, None)
        super().forget(partition)

    def cuts(self, partition: int, behind: int) -> list[Cut]:
        """See StageCore. A lane that does not yet hold what it held says nothing."""
        read = self._read.get(partition, -1)
        due = self._due(partition, behind)
        cuts = self._untold(partition)
        for slot in self._slots.all(partition):
            if not slot.works or slot.lane in self._refills:
                continue
            idle = slot.follows and read - slot.input_offset > IDLE_RECORDS
            if idle or slot in due:
                if slot.follows:
                    slot.input_offset = max(slot.input_offset, read)
                cuts.append(self._cut(slot))
        return cuts

    def _state(self, lane: Lane, entities: Entities) -> NormalizeState:
        identity = self._deployment
        return NormalizeState(lane, entities, identity.genesis_hash, identity.control_key, identity.partitions)

    def _route(self) -> None:
        """Which lanes take the events of a group: every catalog of the partition that names it."""
        self._routes = {}
        for slot in self._slots.all():
            for group in sorted(slot.state.known_groups):
                if partition_of(group, self._deployment.partitions) == slot.lane.partition:
                    self._routes.setdefault((slot.lane.partition, group), []).append(slot)

    def _changed(self) -> None:
        self._route()
        known = {slot.lane for slot in self._slots.all()}
        self._refills = {lane: refill for lane, refill in self._refills.items() if lane in known}
        self._missing = {lane: key for lane, key in self._missing.items() if lane in known}
