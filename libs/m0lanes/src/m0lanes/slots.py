"""The lanes a core looks after: where each stands, what it says, when it is saved, how it goes on."""

from bisect import insort
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from m0common.ids import Lane
from m0common.messages import InputSeq, LaneMessage, Manifest
from m0common.messages.codec import encode
from m0common.stream.core import MARKERS_DUE, Cut, LaneReport
from m0common.stream.records import Produce
from m0common.stream.restored import Restored
from m0common.telemetry.context import Headers
from msgspec import Raw
from msgspec.structs import replace

from m0lanes.births import Birth
from m0lanes.checkpoints import Beginnings, batches
from m0lanes.entities import Entities

NO_RELEASE = bytes(32)
HOLES_TOLD_MAX: Final = 8
"""Of so many source lanes a reason says what is missing; of more it says how many there are."""


class State(Protocol):
    """What a stage knows of one lane. Everything in it is made from `entities`."""

    entities: Entities

    @property
    def generation(self) -> int: ...

    @property
    def last_epoch(self) -> int: ...


S = TypeVar("S", bound=State)


@dataclass
class Slot(Generic[S]):
    """One lane: its state, what it has read and said, and whether it goes on."""

    lane: Lane
    state: S
    place: tuple[str, int]
    """Topic and partition that it speaks into."""
    release: bytes = NO_RELEASE
    life: int = 0
    rebase: bytes = b""
    """The signed event that began this life, nothing in life 0."""
    born_at: int = -1
    """The raw offset of the rebase that began this life."""
    position: int = 0
    out_seq: int = 0
    cause: int = -1
    """The highest raw offset behind what it took since this process has it."""
    input_offset: int = -1
    input_seqs: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By source lane: its life and the last sequence number taken."""
    parked: str | None = None
    holes: dict[int, str] = field(default_factory=dict)
    """Source lanes of which something is missing, and what: nothing more is taken of them in this life of theirs."""
    retired: bool = False
    lacks: bytes | None = None
    """The release that runs it, where that is not here: somebody else does."""
    gone_by: tuple[int, ...] = ()
    """The epochs of the newest markers that were read of it while it was passed over, MARKERS_DUE at most."""
    apart: bool = False
    """It is read by a reader of its own."""
    beginnings: Beginnings = field(default_factory=Beginnings)
    cut_position: int = -1
    untold: Manifest | None = None
    """The manifest that it could not go on from, until it is written again with the reason."""
    midway: bool = False
    """It was heard of through a message that begins no lane, see m0lanes.strangers."""

    @property
    def stranger(self) -> bool:
        """Whether all that is known of it is a message in the middle of what it may have said."""
        return self.midway and self.position == 0

    @property
    def passed(self) -> bool:
        """Whether it is left to somebody else."""
        return self.lacks is not None

    def give(self, release: bytes, here: Container[bytes]) -> None:
        """From here on `release` runs it: this process does when that is among those that are `here`."""
        self.lacks = None if release in here else release

    def goes_by(self, epoch_id: int) -> None:
        """A marker was read, and somebody else closes its epoch."""
        if not self.gone_by or epoch_id > self.gone_by[-1]:
            self.gone_by = (*self.gone_by, epoch_id)[-MARKERS_DUE:]

    @property
    def due(self) -> int | None:
        """See LaneReport."""
        return self.gone_by[0] if self.passed and len(self.gone_by) == MARKERS_DUE else None

    @property
    def stands(self) -> tuple[int, int]:
        """Life and position."""
        return self.life, self.position

    @property
    def follows(self) -> bool:
        """Whether it takes what the partition's common cursor reads."""
        return self.takes(None)

    @property
    def works(self) -> bool:
        """Whether it takes anything, from whatever cursor."""
        return not (self.passed or self.parked is not None)

    def takes(self, only: Lane | None) -> bool:
        """Whether it takes what the common cursor reads, or with `only` what that lane's own one does."""
        if self.lacks is not None or self.parked is not None:
            return False
        return not self.apart if only is None else self.lane == only

    def say(self, kind: str, body: bytes, cause: int, headers: Headers = (), key: bytes | None = None) -> Produce:
        """Number and encode one message of the lane."""
        self.out_seq += 1
        topic, partition = self.place
        catalog, lane_partition = self.lane
        message = LaneMessage(catalog, lane_partition, self.life, self.out_seq, self.release, cause, kind, Raw(body))
        return Produce(topic, partition, key or catalog.encode(), encode(message), headers)

    def say_all(self, said: Iterable[tuple[str, bytes]], cause: int, headers: Headers, key: bytes) -> Sequence[Produce]:
        """Number and encode messages, each a kind and a body."""
        messages = []
        for kind, body in said:
            messages.append(self.say(kind, body, cause, headers, key))
        return messages

    @property
    def problem(self) -> str | None:
        """Why it does not go on, or not with all of its sources."""
        if self.parked is not None or not self.holes:
            return self.parked
        said = [reason for _, reason in sorted(self.holes.items())]
        more = [f"and {len(said) - HOLES_TOLD_MAX} lanes more"] if len(said) > HOLES_TOLD_MAX else []
        return "; ".join([*said[:HOLES_TOLD_MAX], *more])

    def park(self, reason: str) -> None:
        """Stop this lane, loudly; the others go on."""
        self.parked = self.parked or reason


class Slots(Generic[S]):
    """All lanes of one core, in order of catalog and partition."""

    def __init__(self, stage: int, build: bytes) -> None:
        self.stage = stage
        self._build = build
        self._slots: dict[Lane, Slot[S]] = {}
        self._order: list[Lane] = []

    def get(self, lane: Lane) -> Slot[S] | None:
        """A lane's slot, None when it is not known."""
        return self._slots.get(lane)

    def add(self, slot: Slot[S]) -> Slot[S]:
        """Look after one more lane."""
        if slot.lane not in self._slots:
            insort(self._order, slot.lane)
        self._slots[slot.lane] = slot
        return slot

    def all(self, partition: int | None = None) -> list[Slot[S]]:
        """Every lane, or those of one input partition, ascending."""
        return [self._slots[lane] for lane in self._order if partition is None or lane.partition == partition]

    def forget(self, partition: int) -> None:
        """Drop the lanes of a partition."""
        self._order = [lane for lane in self._order if lane.partition != partition]
        self._slots = {lane: self._slots[lane] for lane in self._order}

    def cut(
        self,
        slot: Slot[S],
        epoch_id: int | None = None,
        window_end_ms: int = 0,
        held: tuple[int | None, int] = (None, 0),
        following: bytes = NO_RELEASE,
        *,
        retired: bool = False,
    ) -> Cut:
        """A checkpoint of a lane as it is now."""
        whole = slot.beginnings.whole_next
        entries = slot.state.entities.unsaid(whole=whole)
        values = batches(slot.lane.catalog, slot.lane.partition, slot.life, slot.position, entries)
        slot.cut_position = slot.position
        draft = Manifest(
            stage=self.stage,
            catalog=slot.lane.catalog,
            partition=slot.lane.partition,
            life=slot.life,
            generation=slot.state.generation,
            position=slot.position,
            epoch_id=epoch_id,
            digest=slot.state.entities.digest(),
            out_seq=slot.out_seq,
            input_offset=slot.input_offset,
            input_seqs=tuple(InputSeq(p, life, seq) for p, (life, seq) in sorted(slot.input_seqs.items())),
            held_from=held[0],
            held_end=held[1],
            from_position=0,
            from_offset=0,
            to_offset=0,
            release=slot.release,
            build=self._build,
            entities=slot.state.entities.count,
            bytes=slot.state.entities.bytes,
            status="parked" if slot.problem is not None else "retired" if retired or slot.retired else "running",
            reason=slot.problem or "",
            rebase=slot.rebase,
            window_end_ms=window_end_ms,
            following=following,
            born_at=slot.born_at,
        )

        def complete(first: int, end: int) -> Manifest:
            position, offset = slot.beginnings.began(draft.position, first, whole=whole)
            return replace(draft, from_position=position, from_offset=offset, to_offset=end)

        return Cut(slot.lane, self.stage, epoch_id, values, complete)

    def told(self, slot: Slot[S]) -> Cut | None:
        """The manifest that a lane could not go on from, with the reason; once."""
        found, slot.untold = slot.untold, None
        if found is None or slot.problem is None:
            return None
        again = replace(found, status="parked", reason=slot.problem)
        return Cut(slot.lane, self.stage, found.epoch_id, (), lambda _first, _end: again)

    def reports(self) -> list[LaneReport]:
        """See StageCore."""
        return [
            LaneReport(
                slot.lane,
                slot.state.generation,
                slot.life,
                slot.state.last_epoch,
                slot.out_seq,
                slot.state.entities.count,
                slot.state.entities.bytes,
                slot.release,
                slot.retired,
                slot.problem,
                slot.lacks,
                slot.due,
            )
            for slot in self.all()
        ]


def restored_slot(slot: Slot[S], found: Restored) -> Slot[S]:
    """Put a slot, whose state is made from the entities found, where its manifest stands."""
    manifest = found.manifest
    slot.release = manifest.runner
    slot.life = manifest.life
    slot.rebase = manifest.rebase
    slot.born_at = manifest.born_at
    slot.position = slot.cut_position = manifest.position
    slot.out_seq = manifest.out_seq
    slot.input_offset = manifest.input_offset
    slot.input_seqs = {source.partition: (source.life, source.seq) for source in manifest.input_seqs}
    slot.retired = manifest.status == "retired"
    slot.beginnings.inherit(manifest)
    return slot


def reborn(slot: Slot[S], found: Restored, begins: Birth) -> Slot[S]:
    """Put a slot, whose state is made from the entities found, at the beginning of a new life."""
    slot.release = begins.release
    slot.life = begins.payload.life
    slot.rebase = begins.event
    slot.input_seqs = {}
    slot.input_offset = found.manifest.input_offset
    slot.retired = found.manifest.status == "retired"
    return slot


def runs(manifest: Manifest, releases: Container[bytes]) -> bool:
    """Whether who has these releases goes on from a manifest. Who does with a lane that ended is not known before it
    returns: everybody waits for it.
    """
    ended = manifest.status == "retired" and manifest.following == NO_RELEASE
    return ended or manifest.runner in releases


def newest(restored: Iterable[Restored], stage: int, partition: int) -> Sequence[Restored]:
    """Those of a stage in one input partition."""
    return [r for r in restored if r.manifest.stage == stage and r.manifest.partition == partition]
