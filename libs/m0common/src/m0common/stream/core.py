"""What the stage loop drives: records in, messages, letters and checkpoints out. No broker, no clock, no I/O.

The live service, the replay tool, the re-executing signer and the backtest drive the same cores.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from m0common.canonical import ZERO
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import Manifest, StateBatch
from m0common.stream.records import Produce, Record
from m0common.stream.restored import Restored


class Taken(NamedTuple):
    """A lane that took a message, and how many it has taken with that one."""

    lane: Lane
    position: int


class Letter(NamedTuple):
    """A record that costs a dead letter. A record costs at most one distinct letter, however often it is read.

    `taken`: the message was the next one of a lane, and this stage could do nothing with it, which may be the stage's
    own fault. None where nobody but the writer can be at fault.
    """

    record: Record
    error: DeadLetterError
    taken: Taken | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """A checkpoint of a lane, to be written once everything said before it is acknowledged.

    `values` go to the state topic; `complete` takes the offset of the first and the one behind the last of them and
    gives the manifest, to be written once they are acknowledged. Without values it is called with zeros.
    """

    lane: Lane
    stage: int
    epoch_id: int | None
    values: Sequence[bytes]
    complete: Callable[[int, int], Manifest]


class Rewind(NamedTuple):
    """A lane leaves the partition's common cursor: it must be read again from an offset, by a reader of its own."""

    lane: Lane
    offset: int


class Load(NamedTuple):
    """A lane begins a new life, under a release, from the state that one of its stages had at an epoch's marker, by its
    digest.
    """

    lane: Lane
    stage: int
    life: int
    epoch_id: int
    root: bytes
    release: bytes


Output = Produce | Letter | Cut | Rewind | Load


def nothing(stage: int, lane: Lane) -> Restored:
    """The empty state, whose digest is zero bytes: a lane begins anew."""
    manifest = Manifest(
        stage=stage,
        catalog=lane.catalog,
        partition=lane.partition,
        life=0,
        generation=0,
        position=0,
        epoch_id=None,
        digest=ZERO,
        out_seq=0,
        input_offset=-1,
        input_seqs=(),
        held_from=None,
        held_end=0,
        from_position=0,
        from_offset=0,
        to_offset=0,
        release=ZERO,
        build=ZERO,
        entities=0,
        bytes=0,
    )
    return Restored(manifest, {})


MARKERS_DUE = 3
"""So many markers of a lane may go by, the epochs of none of them closed, before nobody is said to run it."""


class LaneReport(NamedTuple):
    """One lane as `m0 lane list` and readiness show it. `parked` is the reason, None while it runs."""

    lane: Lane
    generation: int
    life: int
    epoch_id: int
    seq: int
    entities: int
    state_bytes: int
    release: bytes
    retired: bool
    parked: str | None
    lacks: bytes | None = None
    """The release that runs the lane, where it is not here and somebody else must."""
    due: int | None = None
    """Of such a lane, an epoch that is closed by now if anybody runs it: MARKERS_DUE markers have gone by since."""


class StageCore(Protocol):
    """What the stage loop drives. A lane is in one input partition; `Lane.partition` is that one."""

    name: str
    stage: int
    input_topic: str
    build: bytes
    queries: str | None
    """A topic beside the lanes whose records are questions to `answer`."""
    drops: Counter[tuple[str, str]]
    """How many records were dropped as ordinary, by source and reason, since the core was made."""

    def gather(self, manifest: Manifest, found: Iterable[StateBatch]) -> dict[bytes, bytes]:
        """Pick a manifest's entities out of batches in its range; see m0common.stream.states.Gather."""
        ...

    def no_life(self, manifest: Manifest) -> str | None:
        """Why nobody goes on from a manifest, whatever it is over: nothing begins the life that it is of. It is counted
        among the drops.
        """
        ...

    def unsound(self, manifest: Manifest, entities: Mapping[bytes, bytes]) -> str | None:
        """Why this stage cannot go on from a state that has the digest of its manifest; see
        m0common.stream.states.Unsound. Others' states are theirs to judge. It may run beside nothing else of the core.
        """
        ...

    def feed(self, record: Record, only: Lane | None = None) -> Iterable[Output]:
        """Take one record: of every lane that follows the partition's cursor, or of one that has its own.

        May be taken in slices, but wholly before the next record. Never raises for what a record holds.
        """
        ...

    def epochs_of(self, record: Record) -> Sequence[tuple[str, int]]:
        """The epochs, by catalog, in which an event is applied as things stand: for its trace, it decides nothing."""
        ...

    def resume(
        self, partition: int, restored: Sequence[Restored], begin: int, end: int, lost: Sequence[Manifest] = ()
    ) -> int | None:
        """Take over an input partition whose log is `[begin, end)`; a lane that needs more than that is parked.

        Every one in `restored` is sound. Of the lanes in `lost` no checkpoint restores and is sound: they begin again
        with a log that is whole, else they are parked.
        Returns the offset to read from, None for where the group has come.
        """
        ...

    def trimmed(self, partition: int, begin: int) -> None:
        """The state topic of a partition begins at `begin` now."""
        ...

    def forget(self, partition: int) -> None:
        """Forget the lanes of a partition that was taken away."""
        ...

    def park(self, partition: int, reason: str, only: Lane | None = None) -> list[Cut]:
        """The log does not hold what the lanes that follow a partition, or one lane, need next: park them.

        Returns a last checkpoint of each.
        """
        ...

    def passes_over(self, partition: int) -> list[Lane]:
        """The lanes of a partition that somebody else runs, whose release is not here."""
        ...

    def called(self) -> Collection[Lane]:
        """Lanes passed over that any newest state serves now, one that was looked at before as well; where there is
        none at all, the empty one.
        """
        ...

    def adopts(self, manifest: Manifest) -> bool:
        """Whether a lane that was passed over goes on from this manifest here."""
        ...

    def adopt(self, found: Restored) -> Iterable[Output]:
        """Go on with a lane that was passed over: it is rewound to where its manifest stands."""
        ...

    def loaded(self, load: Load, found: Restored | None) -> Iterable[Output]:
        """The state that a Load asked for, None when it is not to be had: the lane is parked then."""
        ...

    def join(self, lane: Lane) -> None:
        """A lane with a reader of its own has come up to the partition's cursor and follows it from here on."""
        ...

    def cuts(self, partition: int, behind: int) -> list[Cut]:
        """Checkpoints of the lanes that took more than `behind` records since their last one."""
        ...

    def reports(self) -> list[LaneReport]:
        """Every lane, ascending."""
        ...

    def answer(self, record: Record) -> Iterable[Produce]:
        """Answer a query; it changes no state."""
        ...

    def asides(self) -> Iterable[Produce]:
        """What the stage would say beside its lanes now: unnumbered, conflated, may be lost."""
        ...
