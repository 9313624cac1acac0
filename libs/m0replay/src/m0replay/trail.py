"""What each stage says of one epoch, by lane and sequence number: as recorded in the topics, or as replay says it."""

from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
from m0common.ids import Lane
from m0common.messages import LaneMessage
from m0common.messages.codec import UNDECODABLE
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.core import Output
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce, Record
from m0common.topics import FEATURES, NORMALIZED, PREDICTIONS
from m0lanes.bodies import KINDS, Marker

from m0replay.differing import explain
from m0replay.seek import read_from, seek

STAGES = {"normalize": NORMALIZED.name, "feature": FEATURES.name, "model": PREDICTIONS.name}
Place = tuple[int, int]
"""Life and sequence number of a lane message."""

_decode = msgspec.msgpack.Decoder(LaneMessage).decode
_decode_marker = msgspec.msgpack.Decoder(Marker).decode


@dataclass(slots=True)
class Trail:
    """`messages[stage, lane][place]` are the bytes of a lane message: those from the marker before an epoch up to its
    own, in the newest life that has said any.
    """

    epoch_id: int
    messages: dict[tuple[str, Lane], dict[Place, bytes]] = field(default_factory=dict)
    _over: set[tuple[str, Lane]] = field(default_factory=set)

    def observe(self, stage: str, output: Output) -> None:
        """An observer for Pipeline."""
        if not isinstance(output, Produce) or STAGES.get(stage) != output.topic:
            return
        message = _decode(output.value)
        lane = Lane(message.catalog, message.partition)
        said = self.messages.setdefault((stage, lane), {})
        at = _decode_marker(message.body).epoch_id if message.kind == "marker" else None
        if message.kind == "rebased":
            said.clear()
            self._over.discard((stage, lane))
        if (stage, lane) in self._over:
            return
        if at is not None and at < self.epoch_id:
            said.clear()  # so that it does not grow with the epochs on the way
        said[message.life, message.seq] = output.value
        if at is not None and at >= self.epoch_id:
            self._over.add((stage, lane))

    def observations(self) -> list[tuple[int, int]]:
        """`(partition, raw offset)` of what the domain was told in the epoch and had something to say of, in order."""
        found: dict[tuple[int, int], None] = {}
        for (stage, lane), said in sorted(self.messages.items()):
            for _, value in sorted(said.items()) if stage == "normalize" else ():
                message = _decode(value)
                if message.kind not in KINDS:
                    found[lane.partition, message.cause] = None
        return list(found)


async def first_difference(broker: Broker, again: Trail) -> str | None:
    """The first lane, stage and message in which replay says something else; None when all it said was recorded.

    Raises Unavailable.
    """
    for stage in STAGES:
        for lane in sorted(lane for name, lane in again.messages if name == stage):
            said = again.messages[stage, lane]
            was = await _recorded(broker, stage, lane, min(said), max(said))
            for place in sorted(said):
                if said[place] != was.get(place):
                    where = f"lane {lane.catalog}/{lane.partition}, stage {stage}, seq {place[1]}"
                    return f"{where}: {explain(was.get(place), said[place])}"
    return None


async def _recorded(broker: Broker, stage: str, lane: Lane, first: Place, last: Place) -> dict[Place, bytes]:
    """What a live stage said in a lane from one place to another; the first saying of each counts."""
    partition = lane.partition
    if stage == "model":
        partition = partition_for(lane.catalog.encode(), await broker.partitions(STAGES[stage]))
    where = TopicPartition(STAGES[stage], partition)

    def place(record: Record) -> Place | None:
        try:
            message = _decode(record.value)
        except UNDECODABLE:
            return None
        return (message.life, message.seq) if Lane(message.catalog, message.partition) == lane else None

    def reached(record: Record) -> bool | None:
        at = place(record)
        return None if at is None else at >= first

    found: dict[Place, bytes] = {}
    start = (await seek(broker, where, reached)).offset
    async with aclosing(read_from(broker, where, start)) as records:
        async for record in records:
            at = place(record)
            if at is not None and first <= at <= last:
                found.setdefault(at, record.value)
            if at is not None and at >= last:
                break
    return found
