"""What `m0.raw` says of catalogs: the sets that define their generations, and the markers that put them in force.

A pure fold over the records of all partitions, in offset order per partition and in any order between them. The epoch
clock decides by it alone; commands and the launcher show it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import final

from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane
from m0common.messages import RawEvent, encode_raw
from m0common.stream.records import Record
from m0lanes.authority import control_keys, identity, is_signed_by
from m0lanes.control import CATALOG_SET, EPOCH_END, CatalogSetPayload, EpochEndPayload
from m0lanes.door import decode_event, decode_payload
from m0lanes.generations import Generation
from m0lanes.place import named
from m0lanes.set_rules import lanes_without_clock

from m0replay.lane_sets import LaneSets

UNDECIDED_MAX = 256
"""Markers per partition that are remembered until the set that decides about them has been read."""
VERIFIED_MAX = 1_024
"""Values known to be signed; the same bytes stand in every lane."""

_NEEDLES = (b"catalog_set", b"epoch_end", rb"\u00")
"""One of them stands in every control record: letters of a kind may be written as escapes."""
_SETS = {CATALOG_SET: CatalogSetPayload}
_PAYLOADS: dict[str, type[CatalogSetPayload | EpochEndPayload]] = {**_SETS, EPOCH_END: EpochEndPayload}


@dataclass(frozen=True, slots=True)
class Copy:
    """Where and when a set was read last in a partition, and whether the log still holds that record."""

    offset: int
    append_ms: int
    kept: bool = True


@final
@dataclass(slots=True)
class DefinedSet:
    """A `catalog_set` that some lane has. `value` are the bytes of the record that says it, `lanes` the partitions of
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
class _Signed:
    """A marker, decoded: the bytes of its record, its envelope and its payload."""

    value: bytes
    event: RawEvent
    marker: EpochEndPayload


@dataclass(slots=True)
class _Catalog:
    """What the log says of one catalog. `activated` are the hashes of the sets that markers put in force, `lanes` what
    each of its lanes has.
    """

    sets: dict[tuple[int, bytes], DefinedSet] = field(default_factory=dict)
    activated: dict[int, bytes] = field(default_factory=dict)
    newest: dict[int, _Signed] = field(default_factory=dict)
    lanes: dict[int, LaneSets] = field(default_factory=dict)

    def generation(self, number: int) -> DefinedSet | None:
        """The set of a generation: the one that a marker put in force, else the one that was said last."""
        if number in self.activated:
            return self.sets.get((number, self.activated[number]))
        known = [defined for (generation, _), defined in self.sets.items() if generation == number]
        return max(known, key=_last_said, default=None)


class ControlLog:
    """The control records of one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._catalogs: dict[str, _Catalog] = {}
        self._undecided: dict[int, deque[_Signed]] = {}
        self._verified: dict[tuple[bytes, bytes], None] = {}
        self._append_ms: dict[int, int] = {}

    def take(self, record: Record) -> None:
        """Take one record of `m0.raw`; whatever is not a valid set or marker is passed over."""
        self._append_ms[record.partition] = record.append_ms
        if not any(needle in record.value for needle in _NEEDLES):
            return
        try:
            event = decode_event(record.value)
            if event.group or event.market_id is not None or event.kind not in _PAYLOADS:
                return
            payload = decode_payload(event, _PAYLOADS)
        except DeadLetterError:
            return
        if isinstance(payload, CatalogSetPayload):
            self._take_set(record, event, payload)
        else:
            self._take_marker(record.partition, _Signed(record.value, event, payload))

    def trimmed(self, partition: int, begin_offset: int) -> None:
        """Learn where a partition begins now: copies of sets before it are gone."""
        for catalog in self._catalogs.values():
            for defined in catalog.sets.values():
                copy = defined.copies.get(partition)
                if copy is not None and copy.offset < begin_offset:
                    defined.copies[partition] = replace(copy, kept=False)

    def catalogs(self) -> list[str]:
        """Every catalog that a set defines, ascending."""
        return sorted(self._catalogs)

    def in_force(self, catalog: str) -> DefinedSet | None:
        """The set that the newest marker leaves in force, None before the first (generation 0)."""
        known = self._catalogs.get(catalog)
        newest = None if known is None else _newest(known)
        if known is None or newest is None:
            return None
        return (
            known.generation(newest.marker.generation)
            if newest.marker.next is None
            else _next_set(known, newest.marker)
        )

    def in_force_everywhere(self, catalog: str) -> DefinedSet | None:
        """The set in force in *every* lane: as `in_force`, once the marker that activated it has been read in all."""
        newest = self.newest(catalog)
        if newest is None or newest.payload.next is None or not newest.missing:
            return self.in_force(catalog)
        generation = newest.payload.generation
        return self._catalogs[catalog].generation(generation) if generation else None

    def ready(self, catalog: str) -> DefinedSet | None:
        """The next generation, once every lane of the old and the new one has it: a marker may name it.

        Of several the one that its signer said last. One that some of these lanes refused is none, nor one whose marker
        some of them would refuse (`m0lanes.set_rules`): with another epoch length or control key than before, with no
        clock that both sets name, or without any lane before or after.
        """
        whole = [defined for defined in self._following(catalog) if not self.unread(defined)]
        return max(whole, key=_last_said, default=None)

    def said_ms(self, catalog: str) -> int:
        """When a set of a catalog was said last, by the word of its signer; -1 when none was."""
        known = self._catalogs.get(catalog, _Catalog())
        return max((defined.said_ms for defined in known.sets.values()), default=-1)

    def check(self, event: RawEvent, partitions: Iterable[int]) -> None:
        """Raises DeadLetterError, with the lane's own sentence, when the lane of one of the partitions would refuse a
        `catalog_set` as the log stands, whoever signs it.
        """
        payload = decode_payload(decode_event(encode_raw(event)), _SETS)
        made, size = Generation.of(payload, bytes(event.payload)), len(event.payload)
        known = self._catalogs.get(payload.catalog, _Catalog())
        for partition in partitions:
            (known.lanes.get(partition) or self._lane(payload.catalog, partition)).check(made, size)

    def waiting(self, catalog: str) -> list[tuple[DefinedSet, tuple[int, ...]]]:
        """Sets of the next generation that are not everywhere yet, with the lanes that lack them."""
        return [(defined, unread) for defined in self._following(catalog) if (unread := self.unread(defined))]

    def unread(self, defined: DefinedSet) -> tuple[int, ...]:
        """The lanes of the set in force and of this one that do not have this one."""
        old = self.in_force(defined.payload.catalog)
        return defined.missing(sorted({*(() if old is None else old.lanes), *defined.lanes}))

    def newest(self, catalog: str) -> SaidMarker | None:
        """The newest marker found in any lane, None when there is none."""
        known = self._catalogs.get(catalog)
        newest = None if known is None else _newest(known)
        if known is None or newest is None:
            return None
        marker = newest.marker
        following = _next_set(known, marker)
        targets = sorted({*marker.lanes, *(() if following is None else following.lanes)})
        has = {p for p, said in known.newest.items() if said.marker.epoch_id == marker.epoch_id}
        return SaidMarker(marker, newest.value, tuple(targets), tuple(p for p in targets if p not in has))

    def open_end(self, catalog: str, partition: int) -> int | None:
        """Where the open window of a lane begins, in ms: the end of its newest marker's; None before the first."""
        known = self._catalogs.get(catalog)
        said = None if known is None else known.newest.get(partition)
        return None if said is None else said.marker.window_end_ms

    def fading(self, catalog: str, age_ms: int) -> tuple[int, ...]:
        """Lanes whose newest copy of the set in force is gone, or `age_ms` older than their newest record."""
        now = self.in_force(catalog)
        if now is None:
            return ()
        copies = {p: now.copies.get(p) for p in now.lanes}
        return tuple(
            p
            for p, copy in copies.items()
            if copy is None or not copy.kept or copy.append_ms + age_ms < self._append_ms.get(p, 0)
        )

    def _following(self, catalog: str) -> list[DefinedSet]:
        known = self._catalogs.get(catalog)
        if known is None:
            return []
        now = self.in_force(catalog)
        newest = self.newest(catalog)
        if now is None and newest is not None:
            return []  # the set in force is not in the log any more
        return [defined for defined in known.sets.values() if _follows(defined, now)]

    def _take_set(self, record: Record, event: RawEvent, payload: CatalogSetPayload) -> None:
        deployment, partition = self._deployment, record.partition
        keys = tuple(control_keys(deployment.control_key, deployment.genesis_hash, payload.certificates))
        if not self._is_signed(record.value, event, keys[-1]):
            return
        made = Generation.of(payload, bytes(event.payload))
        known = self._catalogs.get(payload.catalog, _Catalog())
        lane = known.lanes.get(partition)
        if lane is None:
            if partition not in made.lanes:
                return
            lane = self._lane(payload.catalog, partition)
        if not lane.define(event, made, keys):
            return
        known.lanes[partition] = lane
        self._catalogs[payload.catalog] = known
        place = (made.number, made.hash)
        defined = known.sets.get(place)
        if defined is None:
            defined = DefinedSet(payload, made.hash, record.value, made.lanes, keys, event.event_ms)
            known.sets[place] = defined
            self._decide_again()
        elif event.event_ms > defined.said_ms:
            defined.value, defined.said_ms = record.value, event.event_ms
        defined.copies[partition] = Copy(record.offset, record.append_ms)

    def _lane(self, catalog: str, partition: int) -> LaneSets:
        return LaneSets(Lane(catalog, partition), self._deployment)

    def _take_marker(self, partition: int, said: _Signed) -> None:
        verdict = self._decide(partition, said)
        if verdict is None:
            self._undecided.setdefault(partition, deque(maxlen=UNDECIDED_MAX)).append(said)
        elif verdict and said.marker.next is not None:
            self._decide_again()

    def _decide_again(self) -> None:
        """Look at undecided markers until nothing new follows from them."""
        again = True
        while again:
            again = False
            for partition, waiting in self._undecided.items():
                for _ in range(len(waiting)):
                    said = waiting.popleft()
                    verdict = self._decide(partition, said)
                    if verdict is None:
                        waiting.append(said)
                    again = again or (verdict is True and said.marker.next is not None)

    def _decide(self, partition: int, said: _Signed) -> bool | None:
        """Whether a marker counts; None as long as the set that says so has not been read."""
        marker = said.marker
        known = self._catalogs.get(marker.catalog)
        judge = None if known is None else _judge(known, partition, marker)
        if known is None or judge is None:
            return None
        rule = judge.payload.sources.get(said.event.source)
        if rule is None or rule.key is None or EPOCH_END not in rule.kinds:
            return False
        if not self._is_signed(said.value, said.event, bytes.fromhex(rule.key)):
            return False
        before = known.newest.get(partition)
        if before is not None and marker.epoch_id <= before.marker.epoch_id:
            return False  # the first marker of an epoch in a lane counts
        known.newest[partition] = said
        if marker.next is not None:
            known.activated.setdefault(marker.next.generation, bytes.fromhex(marker.next.hash))
        self._go_on(known, partition, marker)
        return True

    def _go_on(self, known: _Catalog, partition: int, marker: EpochEndPayload) -> None:
        """What a marker that counts leaves in force in a lane."""
        lane = known.lanes.setdefault(partition, self._lane(marker.catalog, partition))
        now = known.generation(marker.generation) if partition in marker.lanes else None
        if now is not None:
            # the log may have lost how it took force here
            lane.activate(Generation(now.payload, now.hash), now.keys)
        key = named(marker.next)
        if key is None:
            return
        following = known.sets.get(key)
        if following is not None and lane.has(key):
            lane.activate(Generation(following.payload, key[1]), following.keys)
        else:
            lane.miss(key)

    def _is_signed(self, value: bytes, event: RawEvent, key: bytes) -> bool:
        if (key, value) in self._verified:
            return True
        if not is_signed_by(event, identity(event), self._deployment.genesis_hash, key):
            return False
        self._verified[key, value] = None
        if len(self._verified) > VERIFIED_MAX:
            del self._verified[next(iter(self._verified))]
        return True


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


def _judge(known: _Catalog, partition: int, marker: EpochEndPayload) -> DefinedSet | None:
    """The set that says who may write a marker into a lane: the one in force, or where the lane begins the one that
    the marker activates, as the lane itself sees it (`m0lanes.place.counts`). What it needs stands before it in its own
    partition, as far as the log still holds it: other partitions that are read later change no verdict.
    """
    lane = known.lanes.get(partition)
    begins = partition not in marker.lanes and not (lane is not None and lane.works)
    following = _next_set(known, marker) if begins else None
    return following or (known.generation(marker.generation) if marker.lanes else None)


def _next_set(known: _Catalog, marker: EpochEndPayload) -> DefinedSet | None:
    key = named(marker.next)
    return None if key is None else known.sets.get(key)


def _newest(known: _Catalog) -> _Signed | None:
    return max(known.newest.values(), key=lambda said: said.marker.epoch_id, default=None)


def _last_said(defined: DefinedSet) -> tuple[int, bytes]:
    """Orders sets of one catalog and generation by when their signer said them last.

    The signed time decides and no place in the log: whoever may write there may copy a record, into any lane and at any
    time, and must not choose by it.
    """
    return defined.said_ms, defined.hash
