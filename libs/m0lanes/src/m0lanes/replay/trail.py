"""What each stage emitted, by lane and sequence number: as recorded in the topics, or as replay says it again."""

import contextlib
from dataclasses import dataclass, field

import msgspec
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import LaneMessage, Marker
from m0common.stream.broker import Broker
from m0common.stream.core import LaneDecoder
from m0common.stream.reader import read_to_end
from m0common.stream.records import Output, Save
from m0common.topics import FEATURES, NORMALIZED, PREDICTIONS

STAGES = {"normalize": NORMALIZED.name, "feature": FEATURES.name, "model": PREDICTIONS.name}


@dataclass(slots=True)
class Trail:
    """`messages[(stage, lane)][seq]` are the bytes of a lane message."""

    catalog: str
    epoch_id: int
    messages: dict[tuple[str, Lane], dict[int, bytes]] = field(default_factory=dict)
    _decode: LaneDecoder = field(default_factory=LaneDecoder)

    def observe(self, stage: str, output: Output) -> None:
        """An observer for Chain."""
        if stage in STAGES and not isinstance(output, Save):
            self.add(stage, output.value)

    def add(self, stage: str, value: bytes) -> None:
        """Take in one lane message; those of other catalogs are ignored."""
        message = self._decode(value)
        if message.catalog == self.catalog:
            lane = Lane(message.catalog, message.partition)
            self.messages.setdefault((stage, lane), {})[message.seq] = value

    def events_of_epoch(self) -> list[tuple[int, int]]:
        """`(partition, raw offset)` of the events that lanes accepted in the epoch itself, in order."""
        found: list[tuple[int, int]] = []
        for (stage, lane), said in sorted(self.messages.items()):
            if stage != "normalize":
                continue
            since: list[tuple[int, int]] = []
            for seq in sorted(said):
                message = self._decode(said[seq])
                if not isinstance(message.body, Marker):
                    since.append((lane.partition, message.cause))
                elif message.body.epoch_id == self.epoch_id:
                    found += since
                    break
                else:
                    since = []
        return found


async def recorded(broker: Broker, catalog: str, epoch_id: int) -> Trail:
    """The trail that the live stages left in the topics."""
    trail = Trail(catalog, epoch_id)
    for stage, topic in STAGES.items():
        async for records in read_to_end(broker, topic):
            for record in records:
                with contextlib.suppress(DeadLetterError):
                    trail.add(stage, record.value)
    return trail


def first_difference(live: Trail, again: Trail) -> str | None:
    """The first lane, stage and message in which replay says something else; None when all it said was recorded."""
    for stage in STAGES:
        lanes = sorted({lane for name, lane in again.messages if name == stage})
        for lane in lanes:
            said, was = again.messages[stage, lane], live.messages.get((stage, lane), {})
            for seq in sorted(said):
                if said[seq] != was.get(seq):
                    place = f"lane {lane.catalog}/{lane.partition}, stage {stage}, seq {seq}"
                    return f"{place}: {_explain(was.get(seq), said[seq])}"
    return None


def _explain(recorded: bytes | None, said: bytes) -> str:
    new = msgspec.msgpack.decode(said, type=LaneMessage)
    if recorded is None:
        return f"nothing is recorded, replay says {_brief(new)}"
    old = msgspec.msgpack.decode(recorded, type=LaneMessage)
    if isinstance(old.body, Marker) and isinstance(new.body, Marker):
        for name in old.body.__struct_fields__:
            if getattr(old.body, name) != getattr(new.body, name):
                was, says = _show(getattr(old.body, name)), _show(getattr(new.body, name))
                return f"the marker's {name} is {was}, replay says {says}"
    return f"recorded {_brief(old)}, replay says {_brief(new)}"


def _brief(message: LaneMessage) -> str:
    body = message.body
    market, identity = getattr(body, "market_id", None), getattr(body, "event_id", b"")
    named = f" of {market}" if market else ""
    marked = f" (event {identity.hex()[:16]})" if identity else ""
    return f"{type(body).__name__}{named}{marked} caused by raw offset {message.cause}"


def _show(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return "(" + ", ".join(_show(v) for v in value) + ")"
    return str(value)
