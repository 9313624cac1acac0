"""The lanes a core looks after: where each stands, what it emits, when it is saved, how it goes on."""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

import msgspec

from m0common.errors import LaneHole
from m0common.ids import Lane
from m0common.messages import Body, Checkpoint, LaneMessage, Marker
from m0common.stream.entities import Entities
from m0common.stream.records import Headers, Output, Produce, Record, Save

BEFORE_FIRST_EPOCH = -1


class State(Protocol):
    """What a stage knows of one lane."""

    entities: Entities

    def settle(self) -> None:
        """Write everything that changed since the last call into `entities`, rounded to fixed point."""
        ...

    def resume(self) -> None:
        """Rebuild the working state from `entities` alone."""
        ...


S = TypeVar("S", bound=State)


Place = tuple[str, int, bytes]
"""Where a lane's output goes: topic, partition, key."""


class LaneSlot(Generic[S]):
    """A lane's state with what it has read, what it has emitted, and where that goes."""

    def __init__(self, lane: Lane, state: S, place: Place) -> None:
        self.lane = lane
        self.state = state
        self.place = place
        self.input_offset = -1
        self.input_seqs: dict[int, int] = {}
        self.out_seq = 0
        self.saved: Checkpoint | None = None
        self.began_under: bytes | None = None
        """Another release that has emitted messages of the epoch under way."""

    def take(self, stage: str, record: Record, message: LaneMessage) -> bool:
        """Whether the lane has not had this message yet; it counts as read from here on in any case.

        Raises LaneHole when a message before it is missing.
        """
        if record.offset <= self.input_offset:
            return False
        last = self.input_seqs.get(message.partition, 0)
        if message.seq == last + 1:
            self.input_offset = record.offset
            self.input_seqs[message.partition] = message.seq
            return True
        if message.seq > last:
            raise LaneHole(
                f"{stage}: lane {message.catalog}/{message.partition} expects seq {last + 1} and got {message.seq} at "
                f"{record.topic}/{record.partition}@{record.offset}: messages are missing; "
                "restore the topic or replay the lane from the beginning",
            )
        return False


class Lanes(Generic[S]):
    """All lanes of one core, in order of catalog and partition."""

    def __init__(
        self,
        stage: int,
        release: bytes,
        new_state: Callable[[Lane], S],
        output_topic: str,
        output_partition: Callable[[Lane], int] = attrgetter("partition"),
    ) -> None:
        self.slots: dict[tuple[str, int], LaneSlot[S]] = {}
        self._stage = stage
        self._release = release
        self._new_state = new_state
        self._output_topic = output_topic
        self._output_partition = output_partition
        self._encode = msgspec.msgpack.Encoder().encode

    def at(self, catalog: str, partition: int, offset: int) -> tuple[LaneSlot[S], list[Output]]:
        """The slot of a lane that reads a message at `offset`.

        A lane seen for the first time is saved as it is before that message, so that a restart never begins behind it,
        however far its neighbours have come.
        """
        slot = self.slots.get((catalog, partition))
        if slot is not None:
            return slot, []
        slot = self._add(Lane(catalog, partition))
        slot.input_offset = offset - 1
        slot.state.settle()
        return slot, [self.save(slot, BEFORE_FIRST_EPOCH, slot.state.entities.digest())]

    def with_releases(self, slot: LaneSlot[S], body: Body) -> Body:
        """A marker names every release that worked on its epoch; anything else is returned as it is."""
        if not isinstance(body, Marker):
            return body
        own = {self._release} if slot.began_under is None else {self._release, slot.began_under}
        return msgspec.structs.replace(body, releases=tuple(sorted(own.union(body.releases))))

    def emit(
        self,
        slot: LaneSlot[S],
        bodies: Sequence[Body],
        cause: int,
        headers: Headers,
        outputs: list[Output],
        key: bytes | None = None,
    ) -> list[Output]:
        """Number and encode what a lane says and add it to `outputs`; a marker is followed by a checkpoint.

        `key` takes the place of the lane's own.
        """
        (catalog, lane_partition), (topic, partition, lane_key) = slot.lane, slot.place
        for body in bodies:
            sent = self._with_digest(slot, body) if isinstance(body, Marker) else body
            slot.out_seq += 1
            value = self._encode(LaneMessage(catalog, lane_partition, slot.out_seq, cause, sent))
            outputs.append(Produce(topic, partition, lane_key if key is None else key, value, headers))
            if isinstance(sent, Marker):
                outputs.append(self.save(slot, sent.epoch_id, sent.state_digests[-1][1]))
        return outputs

    def _with_digest(self, slot: LaneSlot[S], marker: Marker) -> Marker:
        slot.state.settle()
        digest = slot.state.entities.digest()
        return msgspec.structs.replace(marker, state_digests=(*marker.state_digests, (self._stage, digest)))

    def save(self, slot: LaneSlot[S], epoch_id: int, digest: bytes) -> Save:
        """The checkpoint of a lane as it is now; from here on the epoch is this release's own."""
        slot.began_under = None
        slot.saved = Checkpoint(
            self._stage,
            slot.lane.catalog,
            slot.lane.partition,
            epoch_id,
            slot.input_offset,
            dict(sorted(slot.input_seqs.items())),
            slot.out_seq,
            self._release,
            digest,
            slot.state.entities.snapshot(),
        )
        return Save(slot.saved)

    def resume(self, partition: int, checkpoints: Iterable[Checkpoint]) -> int | None:
        """See StageCore."""
        for checkpoint in checkpoints:
            if checkpoint.stage == self._stage and checkpoint.partition == partition:
                slot = self._add(Lane(checkpoint.catalog, partition))
                slot.input_offset = checkpoint.input_offset
                slot.input_seqs = dict(checkpoint.input_seqs)
                slot.out_seq = checkpoint.out_seq
                slot.saved = checkpoint
                if checkpoint.release != self._release and not checkpoint.planned:
                    slot.began_under = checkpoint.release
                slot.state.entities.load(checkpoint.entities)
                slot.state.resume()
        offsets = [slot.input_offset + 1 for slot in self.slots.values() if slot.lane.partition == partition]
        return min(offsets) if offsets else None

    def release(self, partition: int) -> None:
        """See StageCore."""
        self.slots = {lane: slot for lane, slot in self.slots.items() if slot.lane.partition != partition}

    def planned_stop(self, partition: int) -> list[Save]:
        """See StageCore."""
        return [
            Save(msgspec.structs.replace(slot.saved, planned=True))
            for slot in self.slots.values()
            if slot.lane.partition == partition and slot.saved is not None and slot.saved.out_seq == slot.out_seq
        ]

    def _add(self, lane: Lane) -> LaneSlot[S]:
        place = (self._output_topic, self._output_partition(lane), lane.catalog.encode())
        slot = LaneSlot(lane, self._new_state(lane), place)
        self.slots = dict(sorted({**self.slots, lane: slot}.items()))
        return slot
