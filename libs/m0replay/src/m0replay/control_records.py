"""What the control records of one catalog come to: the sets that are known, and the markers that put them in force."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, final

from m0common.messages import RawEvent, encode_raw
from m0lanes.control import CatalogSetPayload, EpochEndPayload
from m0lanes.place import named
from m0lanes.set_rules import lanes_without_clock

from m0replay.lane_sets import LaneSets, SetKey


@dataclass(frozen=True, slots=True)
class Copy:
    """Where and when a set was read last in a partition, and whether the log still holds that record."""

    offset: int
    append_ms: int
    kept: bool = True


@final
@dataclass(slots=True)
class DefinedSet:
    """A `catalog_set` that some lane has. `value` are the bytes of a record that says it, `lanes` the partitions of
    its groups, `keys` the control keys that its certificates vouch for, `said_ms` when its signer said it last, by the
    signer's own word, `copies` where it has been read and was not refused, by partition.
    """

    payload: CatalogSetPayload
    hash: bytes
    value: bytes
    lanes: tuple[int, ...]
    keys: tuple[bytes, ...]
    said_ms: int
    copies: dict[int, Copy] = field(default_factory=dict)

    def missing(self, partitions: Iterable[int]) -> tuple[int, ...]:
        """Those of the partitions in which it has not been read, or was refused."""
        return tuple(p for p in partitions if p not in self.copies)


@final
@dataclass(frozen=True, slots=True)
class SaidMarker:
    """The newest marker of a catalog. `value` are the bytes of its record, `targets` the partitions it belongs into,
    `missing` those of them that do not have it.
    """

    payload: EpochEndPayload
    value: bytes
    targets: tuple[int, ...]
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SignedMarker:
    """A marker, decoded: its envelope and its payload."""

    event: RawEvent
    marker: EpochEndPayload

    @property
    def value(self) -> bytes:
        """The bytes of a record that says it."""
        return encode_raw(self.event)


class Recalled(NamedTuple):
    """The set that is known to have been in force behind the marker of an epoch."""

    set: DefinedSet
    epoch_id: int


@dataclass(slots=True)
class CatalogRecords:
    """What the log says of one catalog. `activated` are the hashes of the sets that markers put in force, `marked` the
    newest marker of each partition, `lanes` what each of its lanes has, `recalled` what was known before the log was
    read.
    """

    sets: dict[SetKey, DefinedSet] = field(default_factory=dict)
    activated: dict[int, bytes] = field(default_factory=dict)
    marked: dict[int, SignedMarker] = field(default_factory=dict)
    lanes: dict[int, LaneSets] = field(default_factory=dict)
    recalled: Recalled | None = None

    def newest(self) -> SignedMarker | None:
        """The newest marker of any partition, unless it is older than what was known before."""
        found = max(self.marked.values(), key=lambda said: said.marker.epoch_id, default=None)
        old = found is not None and self.recalled is not None and found.marker.epoch_id < self.recalled.epoch_id
        return None if old else found

    def in_force(self) -> DefinedSet | None:
        """The set that the newest marker leaves in force, None before the first and where the log has lost it."""
        newest = self.newest()
        if newest is None:
            return None if self.recalled is None else self.recalled.set
        marker = newest.marker
        return self.before(marker) if marker.next is None else self.named_by(marker)

    def named_by(self, marker: EpochEndPayload) -> DefinedSet | None:
        """The set that a marker puts in force."""
        key = named(marker.next)
        return None if key is None else self.sets.get(key)

    def before(self, marker: EpochEndPayload) -> DefinedSet | None:
        """The set in force up to a marker: the one that an earlier one named, else of those that have its lanes the one
        that was said last.
        """
        number = marker.generation
        if number in self.activated:
            return self.sets.get((number, self.activated[number]))
        known = [defined for (of, _), defined in self.sets.items() if of == number]
        alike = [defined for defined in known if defined.lanes == marker.lanes]
        return max(alike or known, key=last_said, default=None)

    def judge(self, partition: int, marker: EpochEndPayload) -> DefinedSet | None:
        """The set that says who may write a marker into a lane: the one in force, or where the lane begins the one that
        the marker activates, as the lane itself sees it (`m0lanes.place.counts`). What it needs stands before it in its
        own partition, as far as the log still holds it: other partitions that are read later change no verdict. Where
        it does not, one up to the recalled set's epoch counts if that set's clock signed it.
        """
        lane = self.lanes.get(partition)
        begins = partition not in marker.lanes and not (lane is not None and lane.works)
        following = self.named_by(marker) if begins else None
        return following or (self.before(marker) if marker.lanes else None) or self.past(marker)

    def past(self, marker: EpochEndPayload) -> DefinedSet | None:
        """The recalled set, when it took force with a marker or behind it."""
        recalled = self.recalled
        return None if recalled is None or marker.epoch_id > recalled.epoch_id else recalled.set

    def following(self) -> list[DefinedSet]:
        """The sets that the next marker might name, whoever has them."""
        now = self.in_force()
        if now is None and self.newest() is not None:
            return []  # the set in force is not in the log any more
        return [defined for defined in self.sets.values() if _follows(defined, now)]


def last_said(defined: DefinedSet) -> tuple[int, bytes]:
    """Orders sets of one catalog and generation by when their signer said them last.

    The signed time decides and no place in the log: whoever may write there may copy a record, into any lane and at any
    time, and must not choose by it.
    """
    return defined.said_ms, defined.hash


def _follows(defined: DefinedSet, now: DefinedSet | None) -> bool:
    """Whether a set may be the next generation behind the one in force, as the lanes will see it."""
    if now is None:
        return defined.payload.generation == 1 and bool(defined.lanes)
    return (
        defined.payload.generation == now.payload.generation + 1
        and defined.payload.epoch_ms == now.payload.epoch_ms
        and now.keys[-1] in defined.keys
        and bool(defined.lanes or now.lanes)
        and not lanes_without_clock(now.payload, defined.payload)
    )
