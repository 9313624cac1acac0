"""Deliberate damage to a log, to show that replay notices: one event changed, dropped, added or swapped."""

from collections.abc import Sequence

from m0common.errors import InvalidValue
from m0common.stream.records import Record

MUTATIONS = ("change", "drop", "add", "swap")


def mutate(records: Sequence[Record], kind: str, targets: Sequence[tuple[int, int]], index: int) -> list[Record]:
    """`records` with one damaged event; `targets` are the `(partition, offset)` of events that may be chosen.

    Offsets keep their order, so that the damaged log still reads like one. `swap` exchanges the event with the next
    target of its partition. Raises InvalidValue when there is no such event.
    """
    if kind not in MUTATIONS:
        raise InvalidValue(f"mutation {kind!r}: one of {', '.join(MUTATIONS)}")
    if not targets:
        raise InvalidValue("the epoch has no event that could be mutated")
    place = targets[index % len(targets)]
    if kind == "swap":
        return _swap(records, targets, place)
    changed = []
    for record in records:
        if (record.partition, record.offset) != place:
            changed.append(record)
        elif kind == "change":
            changed.append(_with_source_event_id(record, "changed"))
        elif kind == "add":
            # the added event takes the same place in the order, right behind the one it imitates
            changed += [record, _with_source_event_id(record, "added")]
    return _renumber(changed)


def _with_source_event_id(record: Record, word: str) -> Record:
    old = b'"source_event_id":"'
    return record._replace(value=record.value.replace(old, old + word.encode() + b"-", 1))


def _swap(records: Sequence[Record], targets: Sequence[tuple[int, int]], place: tuple[int, int]) -> list[Record]:
    lane = sorted(offset for partition, offset in targets if partition == place[0])
    at = lane.index(place[1])
    if len(lane) < 2:
        raise InvalidValue("the epoch has only one event in this partition: nothing to swap it with")
    one, two = (lane[at], lane[at + 1]) if at + 1 < len(lane) else (lane[at - 1], lane[at])
    values = {r.offset: r for r in records if r.partition == place[0] and r.offset in (one, two)}
    other = {one: values[two], two: values[one]}
    return [
        r._replace(key=other[r.offset].key, value=other[r.offset].value)
        if r.partition == place[0] and r.offset in other
        else r
        for r in records
    ]


def _renumber(records: Sequence[Record]) -> list[Record]:
    last: dict[int, int] = {}
    renumbered = []
    for record in records:
        offset = max(record.offset, last.get(record.partition, -1) + 1)
        last[record.partition] = offset
        renumbered.append(record._replace(offset=offset))
    return renumbered
