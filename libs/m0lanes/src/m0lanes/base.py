"""What the cores of all stages have in common: their slots, resuming, checkpoints between markers."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Generic

from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import LaneMessage, Manifest, StateBatch
from m0common.stream.core import Cut, LaneReport, Load, Output, Rewind
from m0common.stream.records import Produce, Record
from m0common.stream.restored import Restored
from m0common.topics import MANIFESTS, STATE

from m0lanes.births import no_life
from m0lanes.bodies import Marker, decode_body
from m0lanes.checkpoints import gathered
from m0lanes.entities import Entities
from m0lanes.port import Domain
from m0lanes.slots import S, Slot, Slots, newest, runs
from m0lanes.sound import unsound


def remedy(lane: Lane) -> str:
    """What an operator does about a lane whose log is not what it must be."""
    return f"restore the topic, or begin a new life with 'm0 lane rebase {lane.catalog} --partition {lane.partition}'"


def missing_beginning(message: LaneMessage) -> str:
    """Why nothing is taken of a life that no signed rebase has begun here, and the remedy."""
    lane = Lane(message.catalog, message.partition)
    return (
        f"lane {lane.catalog}/{lane.partition} is in life {message.life}, whose beginning is missing here: "
        f"{remedy(lane)}"
    )


class LaneStage(ABC, Generic[S]):
    """See StageCore."""

    name: str
    stage: int
    input_topic: str
    queries: str | None = None

    def __init__(self, build: bytes, deployment: Deployment, releases: Container[bytes]) -> None:
        self._deployment = deployment
        self._here = releases
        self.build = build
        self._slots: Slots[S] = Slots(self.stage, build)
        self.drops: Counter[tuple[str, str]] = Counter()

    @abstractmethod
    def feed(self, record: Record, only: Lane | None = None) -> Iterable[Output]:
        """See StageCore."""

    @abstractmethod
    def _fresh(self, lane: Lane, release: bytes) -> Slot[S]:
        """A lane of which nothing is known but the release that speaks in it."""

    @abstractmethod
    def _restored(self, found: Restored) -> tuple[Slot[S], int]:
        """A slot from a state, and the offset that it must be read from."""

    @abstractmethod
    def _cut(self, slot: Slot[S], epoch_id: int | None = None, window_end_ms: int = 0) -> Cut: ...

    def _changed(self) -> None:
        """The lanes looked after are others now."""

    def epochs_of(self, record: Record) -> Sequence[tuple[str, int]]:  # noqa: ARG002 - the first stage alone reads events
        """See StageCore."""
        return ()

    def gather(self, manifest: Manifest, found: Iterable[StateBatch]) -> dict[bytes, bytes]:
        """See StageCore."""
        return gathered(manifest, found)

    def no_life(self, manifest: Manifest) -> str | None:
        """See StageCore."""
        reason = no_life(manifest, self._deployment)
        if reason is not None:
            self.drops[MANIFESTS.name, "no_life"] += 1
        return reason

    def unsound(self, manifest: Manifest, entities: Mapping[bytes, bytes]) -> str | None:
        """See StageCore."""
        return self._unsound(manifest, entities, manifest.runner) if self._is_ours(manifest) else None

    def _is_ours(self, manifest: Manifest) -> bool:
        """Whether who goes on from a manifest is here, and reads what it is over."""
        return manifest.runner in self._here

    def _unsound(self, manifest: Manifest, entities: Mapping[bytes, bytes], release: bytes) -> str | None:
        return unsound(manifest, entities, self._deployment, release, self._domain_of(release))

    def _domain_of(self, release: bytes) -> Domain | None:  # noqa: ARG002 - a stage may need none
        """The domain of a release, where it is here and this stage keeps entities of it."""
        return None

    def _entities(self, found: Restored, *, foreign: bool) -> Entities:
        """The entities found. What a release wrote that is not here may mean nothing here: then there are none, and
        whoever goes on with the lane brings a state of its own.
        """
        if foreign and self._unsound(found.manifest, found.entities, b"") is not None:
            return Entities()
        return Entities(found.entities.items(), trie=found.trie)

    def resume(
        self, partition: int, restored: Sequence[Restored], begin: int, end: int, lost: Sequence[Manifest] = ()
    ) -> int | None:
        """See StageCore."""
        self.forget(partition)
        starts: list[int] = []
        for manifest in lost:
            if (manifest.stage, manifest.partition) != (self.stage, partition):
                continue
            if begin == 0 and manifest.runner in self._here:
                starts.append(0)
            else:
                self._slots.add(self._lost(manifest, begin))
        for found in newest(restored, self.stage, partition):
            slot, start = self._restored(found)
            self._slots.add(slot)
            if slot.retired and found.manifest.held_from is None:
                continue  # what brings it back is yet to be said
            if slot.passed:
                # what gives the lane to a release that is here stands behind what it has read
                starts.append(max(begin, min(start, end)))
                continue
            if not begin <= start <= end:
                self._miss(
                    slot,
                    f"lane {slot.lane.catalog}/{partition} goes on at {start} of {self.input_topic}, which holds "
                    f"{begin} to {end}: {remedy(slot.lane)}",
                )
                slot.untold = found.manifest
                continue
            starts.append(start)
        self._changed()
        return min(starts) if starts else None

    def _lost(self, manifest: Manifest, begin: int) -> Slot[S]:
        slot = self._fresh(Lane(manifest.catalog, manifest.partition), manifest.release)
        slot.life, slot.release, slot.out_seq = manifest.life, manifest.runner, manifest.out_seq
        if slot.release not in self._here:
            slot.lacks = slot.release
            return slot
        slot.park(
            f"no checkpoint of lane {manifest.catalog}/{manifest.partition} in {STATE[self.stage].name} restores, and "
            f"{self.input_topic} begins at {begin}: {remedy(slot.lane)}"
        )
        slot.untold = manifest
        return slot

    def trimmed(self, partition: int, begin: int) -> None:
        """See StageCore."""
        for slot in self._slots.all(partition):
            slot.beginnings.trimmed(begin)

    @staticmethod
    def _pass_by(slot: Slot[S], message: LaneMessage) -> None:
        """Note the marker of a lane that somebody else runs; another release's may mean nothing here."""
        if slot.passed and message.kind == "marker":
            with suppress(DeadLetterError):
                slot.goes_by(decode_body(message.body, Marker).epoch_id)

    def forget(self, partition: int) -> None:
        """See StageCore."""
        self._slots.forget(partition)
        self._changed()

    def park(self, partition: int, reason: str, only: Lane | None = None) -> list[Cut]:
        """See StageCore."""
        slots = self._slots.all(partition)
        parked = [s for s in slots if (s.lane == only if only is not None else s.follows and not s.retired)]
        for slot in parked:
            self._miss(slot, f"{reason}; {remedy(slot.lane)}")
        return [self._cut(slot) for slot in parked if self._is_whole(slot) and not slot.stranger]

    def _is_whole(self, slot: Slot[S]) -> bool:  # noqa: ARG002 - a stage may know better
        """Whether a lane stands between two messages, so that a checkpoint of it says all there is."""
        return True

    def _miss(self, slot: Slot[S], reason: str) -> None:
        """Something that a lane must have is not in the log."""
        slot.park(reason)

    def passes_over(self, partition: int) -> list[Lane]:
        """See StageCore."""
        return [slot.lane for slot in self._slots.all(partition) if slot.passed]

    def called(self) -> Collection[Lane]:
        """See StageCore."""
        return ()

    def adopts(self, manifest: Manifest) -> bool:
        """See StageCore."""
        slot = self._slots.get(Lane(manifest.catalog, manifest.partition))
        ours = manifest.stage == self.stage and runs(manifest, self._here)
        return ours and slot is not None and slot.passed and (manifest.life, manifest.position) >= slot.stands

    def adopt(self, found: Restored) -> Iterable[Output]:
        """See StageCore."""
        slot, start = self._restored(found)
        self._slots.add(slot)
        slot.apart = True
        self._changed()
        yield Rewind(slot.lane, start)

    def loaded(self, load: Load, found: Restored | None) -> Iterable[Output]:
        """See StageCore."""
        slot = self._slots.get(load.lane)
        if slot is None:
            return []
        where = f"lane {load.lane.catalog}/{load.lane.partition}"
        why = None
        if found is None:
            why = f"no state of stage {load.stage} of {where} at epoch {load.epoch_id} has the digest {load.root.hex()}"
        elif load.release in self._here:
            reason = self._unsound(found.manifest, found.entities, load.release)
            if reason is not None:
                why = f"the state of stage {load.stage} of {where} at epoch {load.epoch_id} is none: {reason}"
        if found is None or why is not None:
            slot.park(f"{why}: choose another epoch with 'm0 lane rebase {load.lane.catalog}'")
            return [self._cut(slot)]
        return self._begin_life(slot, found)

    @abstractmethod
    def _begin_life(self, slot: Slot[S], found: Restored) -> Iterable[Output]:
        """A new life from a state."""

    def join(self, lane: Lane) -> None:
        """See StageCore."""
        slot = self._slots.get(lane)
        if slot is not None:
            slot.apart = False

    def cuts(self, partition: int, behind: int) -> list[Cut]:
        """See StageCore."""
        return [*self._untold(partition), *(self._cut(slot) for slot in self._due(partition, behind))]

    def _untold(self, partition: int) -> list[Cut]:
        """The manifests that lanes of a partition could not go on from, with the reason."""
        return [cut for slot in self._slots.all(partition) if (cut := self._slots.told(slot)) is not None]

    def _born(self, slot: Slot[S]) -> Iterator[Output]:
        """A checkpoint behind the first message of a lane, or of one that had ended: a group's committed offset may be
        behind it from then on.
        """
        yield self._cut(slot)

    def _due(self, partition: int, behind: int) -> list[Slot[S]]:
        return [
            s for s in self._slots.all(partition) if s.works and not s.stranger and s.position - s.cut_position > behind
        ]

    def reports(self) -> list[LaneReport]:
        """See StageCore."""
        return self._slots.reports()

    def answer(self, record: Record) -> Iterable[Produce]:
        """See StageCore."""
        raise DeadLetterError("no_questions", f"{self.name} answers no queries: {record.topic} is not for it")

    def asides(self) -> Iterable[Produce]:
        """See StageCore."""
        return ()
