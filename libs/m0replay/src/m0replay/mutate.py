"""Deliberate damage to a log, to show that replay notices: one observation changed, dropped, added or swapped."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
from m0common.errors import InvalidValue
from m0common.messages import RawEvent, encode_raw
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.records import Record
from m0common.topics import RAW
from msgspec.structs import replace

from m0replay.seek import read_from

MUTATIONS = ("change", "drop", "add", "swap")
Place = tuple[int, int]
"""A partition of `m0.raw` and an offset in it."""

_SEQ_BESIDE = 1 << 15
"""An added event of a numbered source bears a number of its own, within the window in which repeats are told."""
_decode = msgspec.json.Decoder(RawEvent).decode


@dataclass(frozen=True, slots=True)
class Damaged:
    """Observation number `index` (from 0) of `count` was damaged: that at the one offset in a partition of `m0.raw`, or
    for a swap one of the two.
    """

    index: int
    count: int
    partition: int
    offsets: tuple[int, ...]


class Damage:
    """One damaged event in a stream of records. Offsets keep their order, so that what follows still reads like a log.

    `places` are the event, and for a swap also the one that it changes places with; `resumed` is the offset up to
    which its partition is only read again, where records are known by their offsets.
    """

    def __init__(self, kind: str, places: Sequence[Record], resumed: int, index: int, count: int) -> None:
        """Args: `index` is the event's number, from 0, among the `count` that could have been damaged."""
        self.done = Damaged(index, count, places[0].partition, tuple(record.offset for record in places))
        self._kind = kind
        self._at = {record.offset: record for record in places}
        self._partition = places[0].partition
        self._other = {a.offset: b for a, b in zip(places, reversed(places), strict=True)}
        self._resumed = resumed

    def apply(self, record: Record) -> list[Record]:
        """What stands in the damaged log for a record."""
        if record.partition != self._partition:
            return [record]
        moved = record
        if self._kind == "add" and self._resumed < min(self._at) < record.offset:
            moved = replace(record, offset=record.offset + 1)
        if record.offset not in self._at:
            return [moved]
        match self._kind:
            case "change":
                return [_renamed(record, "changed", 0)]
            case "drop":
                return []
            case "add":
                # the added event takes the same place in the order, right behind the one that it imitates
                added = _renamed(record, "added", _SEQ_BESIDE)
                return [record, replace(added, offset=record.offset + (record.offset > self._resumed))]
            case _:
                other = self._other[record.offset]
                return [replace(record, key=other.key, value=other.value)]


async def damage(broker: Broker, kind: str, targets: Sequence[Place], index: int, resumed: Mapping[int, int]) -> Damage:
    """Damage of event number `index` (counted around) among `targets`, one at least; `resumed`: see Damage, by
    partition.

    Raises InvalidValue for a swap with nothing, Unavailable.
    """
    if kind not in MUTATIONS:
        raise InvalidValue(f"mutation {kind!r}: one of {', '.join(MUTATIONS)}")
    number = index % len(targets)
    partition, offset = targets[number]
    places = [offset]
    if kind == "swap":
        lane = sorted(at for number, at in targets if number == partition)
        if len(lane) < 2:
            raise InvalidValue(f"the epoch has only one observation in partition {partition}: nothing to swap it with")
        first = min(lane.index(offset), len(lane) - 2)
        places = lane[first : first + 2]
    records = [await _record(broker, partition, at) for at in places]
    return Damage(kind, records, resumed.get(partition, -1), number, len(targets))


async def _record(broker: Broker, partition: int, offset: int) -> Record:
    async with aclosing(read_from(broker, TopicPartition(RAW.name, partition), offset)) as records:
        async for record in records:
            return record
    raise InvalidValue(f"{RAW.name} holds no record {offset} in partition {partition}")


def _renamed(record: Record, word: str, seq_beside: int) -> Record:
    event = _decode(record.value)
    renamed = replace(
        event,
        source_event_id=f"{word}-{event.source_event_id}"[:256],
        source_seq=event.source_seq + seq_beside if event.source_seq else 0,
    )
    return replace(record, value=encode_raw(renamed))
