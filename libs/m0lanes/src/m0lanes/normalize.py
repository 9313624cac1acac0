"""Stage 1: raw events to what the lanes work with. The first reader of the log, behind the door.

A record is routed (envelope, group, catalog), then held back or applied by each lane that names its group. Control
kinds take effect where they stand.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import Manifest, RawEvent
from m0common.stream.core import Cut, Letter, Load, Output, Rewind
from m0common.stream.records import Record
from m0common.stream.restored import Restored
from m0common.topics import NORMALIZED, RAW

from m0lanes.applied import ENTITIES_MAX
from m0lanes.barriers import Barriers
from m0lanes.base import LaneStage
from m0lanes.births import Birth, birth
from m0lanes.bodies import Rebased
from m0lanes.control import (
    CATALOG_SET,
    LANE_KINDS,
    PAYLOADS,
    CatalogSetPayload,
    EpochEndPayload,
    RebasePayload,
)
from m0lanes.door import decode_event, decode_payload
from m0lanes.entities import Entities
from m0lanes.generations import lanes_of, partition_of
from m0lanes.holding import HELD_MAX_BYTES
from m0lanes.normalize_state import NormalizeState
from m0lanes.observations import Observations
from m0lanes.packing import pack
from m0lanes.port import Domain
from m0lanes.routes import Routes
from m0lanes.set_rules import said_set
from m0lanes.slots import NO_RELEASE, Slot, reborn, restored_slot, runs

STAGE = 1
IDLE_RECORDS = 4_096
"""A lane that took none of so many records says so in a checkpoint, and is not read from there again."""


class NormalizeCore(LaneStage[NormalizeState]):
    """See StageCore. `only` restricts it to some catalogs, as replay does; others are passed over.

    `held_bytes` bounds what a lane holds at hand of the events of later windows; behind that it rewinds. None is for
    callers that cannot read the log again. `entities_max` bounds what a domain remembers in a lane: all who run one log
    have the same.
    """

    name = "normalize"
    stage = STAGE
    input_topic = RAW.name

    def __init__(
        self,
        deployment: Deployment,
        domains: Mapping[bytes, Domain],
        build: bytes,
        only: frozenset[str] | None = None,
        held_bytes: int | None = HELD_MAX_BYTES,
        entities_max: int = ENTITIES_MAX,
    ) -> None:
        super().__init__(build, deployment, domains)
        self._domains = domains
        self._only = only
        self._held_bytes, self._entities_max = held_bytes, entities_max
        self._routes = Routes(deployment.partitions)
        self._observations = Observations(self._routes, self.drops)
        self._barriers = Barriers(self._slots, domains, self._routes, self._observations)
        self._rebases: dict[Lane, tuple[Birth, Record]] = {}
        self._read: dict[int, int] = {}
        """By partition: the offset of the last record of the common cursor."""
        self._said: dict[int, int] = {}
        """By partition: up to here letters about form are written, for a checkpoint is written behind what was said."""

    # --- records -----------------------------------------------------------------------------------------------------

    def feed(self, record: Record, only: Lane | None = None) -> Iterable[Output]:
        """See StageCore."""
        if only is None:
            self._read[record.partition] = record.offset
        try:
            event = decode_event(record.value)
            if event.kind in LANE_KINDS:
                return self._controlled(record, event, only)
            slots = self._routes.of(record.partition, event.group)
            if not slots:
                self._check_group(record, event)
                self._observations.pass_over()
        except DeadLetterError as error:
            return self._letter(record, error, only)
        said: Sequence[Output] = ()
        for slot in slots:
            if slot.takes(only):
                taken = self._observations.take(slot, record, event)
                said = (*said, *taken) if said else taken
        return said

    def epochs_of(self, record: Record) -> Sequence[tuple[str, int]]:
        """See StageCore."""
        try:
            event = decode_event(record.value)
        except DeadLetterError:
            return ()
        slots = () if event.kind in LANE_KINDS else self._routes.of(record.partition, event.group)
        places = [(slot.lane.catalog, slot.state.place.epoch_of(event)) for slot in slots]
        return [(catalog, epoch_id) for catalog, epoch_id in places if epoch_id is not None]

    def _letter(self, record: Record, error: DeadLetterError, only: Lane | None) -> Sequence[Output]:
        """A letter about a record's form, unless a checkpoint behind it stands for it."""
        if only is not None or record.offset <= self._said.get(record.partition, -1):
            return ()
        return [Letter(record, error)]

    def _check_group(self, record: Record, event: RawEvent) -> None:
        """Raises DeadLetterError when no lane could ever take a group where it stands."""
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

    # --- control -----------------------------------------------------------------------------------------------------

    def _controlled(self, record: Record, event: RawEvent, only: Lane | None) -> Iterator[Output]:
        try:
            yield from self._control(record, event, only)
        except DeadLetterError as error:
            yield from self._letter(record, error, only)

    def _control(self, record: Record, event: RawEvent, only: Lane | None) -> Iterator[Output]:
        is_set = event.kind == CATALOG_SET
        payload = said_set(event, self._deployment) if is_set else decode_payload(event, PAYLOADS)
        if self._only is not None and payload.catalog not in self._only:
            return
        lane = Lane(payload.catalog, record.partition)
        if only is not None and lane != only:
            return
        slot = self._slots.get(lane)
        if isinstance(payload, RebasePayload):
            yield from self._rebase(slot, record, event, payload)
            return
        if slot is not None and slot.state.missing is not None:
            if isinstance(payload, CatalogSetPayload):
                yield from self._barriers.found(slot, event, payload)
            return
        if slot is not None and not slot.takes(only):
            if slot.passed and isinstance(payload, EpochEndPayload) and slot.state.is_clock(event):
                slot.goes_by(payload.epoch_id)
            return
        if isinstance(payload, CatalogSetPayload):
            yield from self._barriers.define(slot or self._first(lane, payload), record, event, payload)
        elif slot is None:
            raise DeadLetterError(
                "unknown_lane", f"{event.kind}: no set of catalog {lane.catalog} was read in partition {lane.partition}"
            )
        else:
            assert isinstance(payload, EpochEndPayload)
            yield from self._barriers.marker(slot, record, event, payload)

    def _first(self, lane: Lane, payload: CatalogSetPayload) -> Slot[NormalizeState]:
        if lane.partition not in lanes_of(payload):
            raise DeadLetterError(
                "wrong_partition",
                f"catalog_set of {lane.catalog} in partition {lane.partition}: it has no lane there",
            )
        return self._fresh(lane)

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
        begins = birth(event, payload)
        if payload.life <= slot.life:
            return
        self._rebases[slot.lane] = (begins, record)
        slot.apart = True  # whatever follows in the log, this life is over
        yield Load(slot.lane, STAGE, payload.life, payload.epoch_id, begins.root(STAGE), begins.release)

    def _begin_life(self, slot: Slot[NormalizeState], found: Restored) -> Iterator[Output]:
        begins, record = self._rebases.pop(slot.lane)
        payload, release = begins.payload, begins.release
        entities = self._entities(found, foreign=release not in self._domains)
        fresh = Slot(slot.lane, self._state(slot.lane, entities), slot.place)
        self._slots.add(reborn(fresh, found, begins))
        fresh.born_at = record.offset
        fresh.state.use(self._domains, release)
        fresh.retired = fresh.state.retired
        fresh.give(release, self._domains)
        self._changed()
        if fresh.passed:
            return
        fresh.state.forget_others(self._domains[release])
        yield fresh.say("rebased", pack(Rebased(begins.event)), record.offset, record.headers)
        manifest = found.manifest
        held: tuple[int | None, int] = (None, 0)
        known = manifest.epoch_id is not None and not payload.gap and payload.offset == manifest.input_offset + 1
        refill = fresh.state.read_again(manifest) if known else None
        if refill is not None:
            start = refill.since
            held = start, manifest.held_end
        else:
            # the lane begins anew, or what lies between is gone and it goes on behind the gap
            yield from self._barriers.go_on(fresh, record)
            if payload.gap:
                fresh.state.begin_behind_gap(payload.in_force)
                fresh.retired = fresh.state.retired
                self._changed()
            fresh.input_offset, start = payload.offset - 1, payload.offset
        fresh.apart = True
        fresh.state.write_back()
        yield self._slots.cut(fresh, held=held)
        yield Rewind(fresh.lane, start)

    # --- going on ----------------------------------------------------------------------------------------------------

    def _fresh(self, lane: Lane, release: bytes = NO_RELEASE) -> Slot[NormalizeState]:
        del release  # the generation in force says it
        return Slot(lane, self._state(lane, Entities()), (NORMALIZED.name, lane.partition))

    def _restored(self, found: Restored) -> tuple[Slot[NormalizeState], int]:
        manifest = found.manifest
        lane = Lane(manifest.catalog, manifest.partition)
        foreign = not self._is_ours(manifest)
        state = self._state(lane, self._entities(found, foreign=foreign))
        slot = restored_slot(Slot(lane, state, (NORMALIZED.name, lane.partition)), found)
        state.use(self._domains, slot.release)
        if manifest.runner != NO_RELEASE and not runs(manifest, self._domains):
            slot.lacks = slot.release
            return slot, slot.input_offset + 1
        slot.retired = state.retired
        self._said[lane.partition] = max(self._said.get(lane.partition, -1), manifest.input_offset)
        refill = state.read_again(manifest)
        return slot, slot.input_offset + 1 if refill is None else refill.since

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
            if not slot.works or not self._is_whole(slot):
                continue
            idle = slot.follows and read - slot.input_offset > IDLE_RECORDS
            if idle or slot in due:
                if slot.follows:
                    slot.input_offset = max(slot.input_offset, read)
                cuts.append(self._cut(slot))
        return cuts

    def _is_ours(self, manifest: Manifest) -> bool:
        # before the first generation no release runs a lane
        return manifest.runner == NO_RELEASE or super()._is_ours(manifest)

    def _domain_of(self, release: bytes) -> Domain | None:
        return self._domains.get(release)

    def _state(self, lane: Lane, entities: Entities) -> NormalizeState:
        return NormalizeState(lane, entities, self._deployment, self._held_bytes, self._entities_max)

    def _cut(self, slot: Slot[NormalizeState], epoch_id: int | None = None, window_end_ms: int = 0) -> Cut:
        return self._barriers.cut(slot, epoch_id, window_end_ms)

    def _is_whole(self, slot: Slot[NormalizeState]) -> bool:
        return slot.state.refill is None

    def _changed(self) -> None:
        self._routes.make(self._slots.all())
