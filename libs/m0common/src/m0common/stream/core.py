"""The heart of a stage: records in, records and checkpoints out. No broker, no clock, no I/O.

The live service, the replay tool, the raw-depth signer and the backtest drive the same cores.

A *lane* is one catalog in one partition of `m0.raw`. Every message emitted into a lane bears a dense sequence number;
the next stage takes exactly `last + 1`: lower is a repeat, higher is a hole and stops the lane. At a marker the core
digests the lane's state, adds the digest to the marker it forwards and asks for a checkpoint.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from m0common.errors import DeadLetterError, LaneHole
from m0common.ids import Lane
from m0common.messages import Body, Checkpoint, LaneMessage, Marker
from m0common.stream.entities import Entities
from m0common.stream.records import Output, Produce, Record, Save

CHECKPOINT_TOPIC = "m0.checkpoints.v1"
BEFORE_FIRST_EPOCH = -1


class Transition(Protocol):
    """One lane's state of one stage, and how a message changes it."""

    entities: Entities

    def step(self, body: Body) -> Sequence[Body]:
        """Take one message of the lane; returns what to emit, in order.

        For a Marker the result ends with the marker to forward. Raises DeadLetterError for a message that cannot be
        processed; the state must then be as before.
        """
        ...

    def settle(self) -> None:
        """Write everything that changed since the last call into `entities`, rounded to fixed point."""
        ...

    def resume(self) -> None:
        """Rebuild the working state from `entities` alone."""
        ...


class StageCore(Protocol):
    """What the stage loop drives."""

    name: str
    stage: int
    input_topic: str

    def feed(self, record: Record) -> list[Output]:
        """Take one record. Raises DeadLetterError (the caller dead-letters it and goes on) or LaneHole (stop)."""
        ...

    def resume(self, partition: int, checkpoints: Iterable[Checkpoint]) -> int | None:
        """Take over an input partition from its lanes' checkpoints (those of other partitions are ignored).

        Returns the offset to read from, or None for the beginning.
        """
        ...

    def release(self, partition: int) -> None:
        """Forget the lanes of an input partition that was taken away."""
        ...


class LaneSlot:
    """A transition with its place in the lane: what it has read and what it has emitted."""

    def __init__(self, transition: Transition) -> None:
        self.transition = transition
        self.input_offset = -1
        self.input_seqs: dict[int, int] = {}
        self.out_seq = 0

    def begin(self, stage: int, lane: Lane, offset: int, release: bytes) -> Save:
        """The checkpoint of a lane that is about to read its first message at `offset`.

        With it a restart never starts behind the beginning of a young lane, however far its neighbours have come.
        """
        self.input_offset = offset - 1
        self.transition.settle()
        return self.save(stage, lane, BEFORE_FIRST_EPOCH, self.transition.entities.digest(), release)

    def save(self, stage: int, lane: Lane, epoch_id: int, digest: bytes, release: bytes) -> Save:
        """The checkpoint of this lane as it is now."""
        return Save(
            Checkpoint(
                stage,
                lane.catalog,
                lane.partition,
                epoch_id,
                self.input_offset,
                dict(sorted(self.input_seqs.items())),
                self.out_seq,
                release,
                digest,
                self.transition.entities.snapshot(),
            ),
        )

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint."""
        self.input_offset = checkpoint.input_offset
        self.input_seqs = dict(checkpoint.input_seqs)
        self.out_seq = checkpoint.out_seq
        self.transition.entities.load(checkpoint.entities)
        self.transition.resume()


class LaneDecoder:
    """Decodes lane messages; one per core, since decoders are reused."""

    def __init__(self) -> None:
        self._decoder = msgspec.msgpack.Decoder(LaneMessage)

    def __call__(self, value: bytes) -> LaneMessage:
        try:
            return self._decoder.decode(value)
        except msgspec.MsgspecError as error:
            raise DeadLetterError("not_a_lane_message", str(error)) from error


def resume_offset(slots: Iterable[LaneSlot]) -> int | None:
    """Where to read an input partition from, given the lanes restored in it."""
    offsets = [slot.input_offset + 1 for slot in slots]
    return min(offsets) if offsets else None


class LaneCore:
    """A stage between two lane topics, partition p to partition p (or to the catalog's, for the model stage)."""

    def __init__(
        self,
        name: str,
        stage: int,
        input_topic: str,
        output_topic: str,
        new_transition: Callable[[Lane], Transition],
        release: bytes,
        output_partition: Callable[[Lane], int] = lambda lane: lane.partition,
    ) -> None:
        self.name = name
        self.stage = stage
        self.input_topic = input_topic
        self._output_topic = output_topic
        self._new_transition = new_transition
        self._release = release
        self._output_partition = output_partition
        self._decode = LaneDecoder()
        self._encode = msgspec.msgpack.Encoder().encode
        self.slots: dict[Lane, LaneSlot] = {}

    def feed(self, record: Record) -> list[Output]:
        """See StageCore."""
        message = self._decode(record.value)
        lane = Lane(message.catalog, message.partition)
        if lane.partition != record.partition:
            raise LaneHole(f"{self.name}: {record.topic}/{record.partition} carries a message of lane {lane}")
        outputs: list[Output] = []
        slot = self.slots.get(lane)
        if slot is None:
            slot = self.slots[lane] = LaneSlot(self._new_transition(lane))
            outputs.append(slot.begin(self.stage, lane, record.offset, self._release))
        if record.offset <= slot.input_offset or is_repeat(self.name, slot, lane.partition, message, record):
            return outputs
        # taken before the step: a message that becomes a dead letter has been read all the same
        slot.input_offset = record.offset
        slot.input_seqs[lane.partition] = message.seq
        bodies = slot.transition.step(message.body)
        for body in bodies:
            sent, save = body, None
            if isinstance(body, Marker):
                slot.transition.settle()
                digest = slot.transition.entities.digest()
                sent = msgspec.structs.replace(body, state_digests=(*body.state_digests, (self.stage, digest)))
            slot.out_seq += 1
            value = self._encode(LaneMessage(lane.catalog, lane.partition, slot.out_seq, message.cause, sent))
            partition = self._output_partition(lane)
            outputs.append(Produce(self._output_topic, partition, lane.catalog.encode(), value, record.headers))
            if isinstance(sent, Marker):
                save = slot.save(self.stage, lane, sent.epoch_id, sent.state_digests[-1][1], self._release)
                outputs.append(save)
        return outputs

    def resume(self, partition: int, checkpoints: Iterable[Checkpoint]) -> int | None:
        """See StageCore."""
        for checkpoint in checkpoints:
            if checkpoint.stage == self.stage and checkpoint.partition == partition:
                lane = Lane(checkpoint.catalog, partition)
                slot = self.slots[lane] = LaneSlot(self._new_transition(lane))
                slot.load(checkpoint)
        return resume_offset(slot for lane, slot in self.slots.items() if lane.partition == partition)

    def release(self, partition: int) -> None:
        """See StageCore."""
        self.slots = {lane: slot for lane, slot in self.slots.items() if lane.partition != partition}


def is_repeat(name: str, slot: LaneSlot, source: int, message: LaneMessage, record: Record) -> bool:
    """Whether the lane has this message already; raises LaneHole when one before it is missing."""
    last = slot.input_seqs.get(source, 0)
    if message.seq > last + 1:
        raise LaneHole(
            f"{name}: lane {message.catalog}/{source} expects seq {last + 1} and got {message.seq} at "
            f"{record.topic}/{record.partition}@{record.offset}: messages are missing; "
            "restore the topic or replay the lane from the beginning",
        )
    return message.seq <= last
