"""The heart of a stage: records in, records and checkpoints out. No broker, no clock, no I/O.

The live service, the replay tool, the raw-depth signer and the backtest drive the same cores.

A *lane* is one catalog in one partition of `m0.raw`. Every message emitted into a lane bears a dense sequence number;
the next stage takes exactly `last + 1`: lower is a repeat, higher is a hole and stops the lane. At a marker the core
digests the lane's state, adds the digest to the marker it forwards and asks for a checkpoint.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Protocol

import msgspec

from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import Body, Checkpoint, LaneMessage
from m0common.stream.lanes import Lanes, State
from m0common.stream.records import Output, Record, Save

CHECKPOINT_TOPIC = "m0.checkpoints.v1"


class Transition(State, Protocol):
    """One lane's state of one stage, and how a message changes it."""

    def step(self, body: Body) -> Sequence[Body]:
        """Take one message of the lane; returns what to emit, in order.

        For a Marker the result ends with the marker to forward. Raises DeadLetterError for a message that cannot be
        processed; what it has changed by then must depend on the message and the state alone.
        """
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

    def planned_stop(self, partition: int) -> list[Save]:
        """Checkpoints to write when the stage stops on purpose: of lanes that emitted nothing since their marker."""
        ...


class LaneDecoder:
    """Decodes lane messages; one per core, since decoders are reused."""

    def __init__(self) -> None:
        self._decoder = msgspec.msgpack.Decoder(LaneMessage)

    def __call__(self, value: bytes) -> LaneMessage:
        try:
            return self._decoder.decode(value)
        except msgspec.MsgspecError as error:
            raise DeadLetterError("not_a_lane_message", str(error)) from error


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
        output_partition: Callable[[Lane], int] = attrgetter("partition"),
    ) -> None:
        self.name = name
        self.stage = stage
        self.input_topic = input_topic
        self._decode = LaneDecoder()
        self._lanes: Lanes[Transition] = Lanes(stage, release, new_transition, output_topic, output_partition)

    def feed(self, record: Record) -> list[Output]:
        """See StageCore."""
        message = self._decode(record.value)
        if message.partition != record.partition:
            lane = f"{message.catalog}/{message.partition}"
            raise DeadLetterError("wrong_partition", f"a message of lane {lane} in partition {record.partition}")
        slot, outputs = self._lanes.at(message.catalog, message.partition, record.offset)
        if not slot.take(self.name, record, message):
            return outputs
        bodies = slot.state.step(self._lanes.with_releases(slot, message.body))
        return self._lanes.emit(slot, bodies, message.cause, record.headers, outputs)

    def resume(self, partition: int, checkpoints: Iterable[Checkpoint]) -> int | None:
        """See StageCore."""
        return self._lanes.resume(partition, checkpoints)

    def release(self, partition: int) -> None:
        """See StageCore."""
        self._lanes.release(partition)

    def planned_stop(self, partition: int) -> list[Save]:
        """See StageCore."""
        return self._lanes.planned_stop(partition)
