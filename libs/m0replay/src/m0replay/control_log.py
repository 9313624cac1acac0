"""What the log says of catalogs: the sets that define their generations, and the markers that put them in force.

A pure fold over the records of `m0.raw`, and over those of `m0.cursors` for what the former has lost: of all
partitions, in offset order per partition and in any order between them. The epoch clock decides by it alone; commands
and the launcher show it.
"""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

import msgspec
from m0common.cursors import in_force_of
from m0common.deployment import Deployment
from m0common.errors import DeadLetterError
from m0common.ids import Lane, epoch_window
from m0common.messages import RawEvent, encode_raw
from m0common.stream.records import Record
from m0common.topics import CURSORS
from m0lanes.authority import control_keys, identity, is_signed_by
from m0lanes.control import CATALOG_SET, EPOCH_END, CatalogSetPayload, EpochEndPayload
from m0lanes.door import decode_event, decode_payload
from m0lanes.generations import Generation
from m0lanes.place import named
from m0lanes.set_rules import said_set

from m0replay.control_records import (
    CatalogRecords,
    Copy,
    DefinedSet,
    Recalled,
    SaidMarker,
    SignedMarker,
    last_said,
)
from m0replay.lane_sets import LaneSets

UNDECIDED_MAX = 64
"""Markers per partition that are remembered until the set that decides about them has been read."""
MARKER_MAX_BYTES = 16_384
"""Longer payloads are no clock's: a number for each lane is what they hold."""
VERIFIED_MAX = 1_024
"""Signatures known to be right; the same ones stand in every lane."""

_NEEDLES = (b"catalog_set", b"epoch_end", rb"\u00")
"""One of them stands in every control record: letters of a kind may be written as escapes."""
_SETS = {CATALOG_SET: CatalogSetPayload}
_MARKERS = {EPOCH_END: EpochEndPayload}


class ControlLog:
    """The control records of one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._catalogs: dict[str, CatalogRecords] = {}
        self._undecided: dict[int, deque[SignedMarker]] = {}
        self._verified: dict[tuple[bytes, bytes, str | None], None] = {}
        self._append_ms: dict[int, int] = {}

    def take(self, record: Record) -> None:
        """Take one record of `m0.raw` or `m0.cursors`; what is no valid set, marker or note of one is passed over."""
        with suppress(DeadLetterError):
            if record.topic == CURSORS.name:
                self._take_note(record)
            else:
                self._take_raw(record)

    def _take_note(self, record: Record) -> None:
        """Know again which set was in force behind the marker of an epoch, though the log may have lost both."""
        said = in_force_of(record)
        if said is None:
            return
        event = decode_event(said.set)
        payload = said_set(event, self._deployment)
        known = self._catalogs.get(said.catalog, CatalogRecords())
        if payload.catalog != said.catalog:
            return
        if known.recalled is not None and known.recalled.epoch_id >= said.epoch_id:
            return
        made, keys = Generation.of(payload, bytes(event.payload)), self._keys(payload)
        defined = DefinedSet(payload, made.hash, encode_raw(event), made.lanes, keys, event.event_ms)
        known.recalled = Recalled(known.sets.setdefault((made.number, made.hash), defined), said.epoch_id)
        known.activated.setdefault(made.number, made.hash)
        for lane in known.lanes.values():
            lane.recall(made, keys)
        self._catalogs[said.catalog] = known
        self._decide_again(said.catalog)

    def _take_raw(self, record: Record) -> None:
        self._append_ms[record.partition] = record.append_ms
        if not any(needle in record.value for needle in _NEEDLES):
            return
        event = decode_event(record.value)
        if event.group or event.market_id is not None:
            return
        if event.kind == CATALOG_SET:
            self._take_set(record, event, said_set(event, self._deployment))
        elif event.kind == EPOCH_END and len(event.payload) <= MARKER_MAX_BYTES:
            # a copy: what a writer put around it is not kept
            kept = msgspec.structs.replace(event, payload=event.payload.copy())
            self._take_marker(record.partition, SignedMarker(kept, decode_payload(kept, _MARKERS)))

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
        return None if known is None else known.in_force()

    def in_force_everywhere(self, catalog: str) -> DefinedSet | None:
        """The set in force in *every* lane: as `in_force`, once the marker that activated it has been read in all."""
        newest = self.newest(catalog)
        if newest is None or newest.payload.next is None or not newest.missing:
            return self.in_force(catalog)
        return self._catalogs[catalog].before(newest.payload) if newest.payload.generation else None

    def ready(self, catalog: str) -> DefinedSet | None:
        """The next generation, once every lane of the old and the new one has it: a marker may name it.

        Of several the one that its signer said last. One that some of these lanes refused is none, nor one whose marker
        some of them would refuse (`m0lanes.set_rules`): with another epoch length or control key than before, with no
        clock that both sets name, or without any lane before or after.
        """
        whole = [defined for defined in self._following(catalog) if not self.unread(defined)]
        return max(whole, key=last_said, default=None)

    def course(self, catalog: str) -> list[CatalogSetPayload]:
        """The sets that were in force one after the other, as far as the log still has them, and the one that is
        ready behind them.
        """
        known, ready = self._catalogs.get(catalog, CatalogRecords()), self.ready(catalog)
        found = [known.sets.get((number, known.activated[number])) for number in sorted(known.activated)]
        return [each.payload for each in [*found, ready] if each is not None]

    def said_ms(self, catalog: str) -> int:
        """When a set of a catalog was said last, by the word of its signer; -1 when none was."""
        known = self._catalogs.get(catalog, CatalogRecords())
        return max((defined.said_ms for defined in known.sets.values()), default=-1)

    def check(self, event: RawEvent, partitions: Iterable[int]) -> None:
        """Raises DeadLetterError, with the lane's own sentence, when the lane of one of the partitions would refuse a
        `catalog_set` as the log stands, whoever signs it.
        """
        payload = decode_payload(decode_event(encode_raw(event)), _SETS)
        made, size = Generation.of(payload, bytes(event.payload)), len(event.payload)
        known = self._catalogs.get(payload.catalog, CatalogRecords())
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
        newest = None if known is None else known.newest()
        if known is None or newest is None:
            return None
        marker, following = newest.marker, known.named_by(newest.marker)
        targets = sorted({*marker.lanes, *(() if following is None else following.lanes)})
        has = {p for p, said in known.marked.items() if said.marker.epoch_id == marker.epoch_id}
        return SaidMarker(marker, newest.value, tuple(targets), tuple(p for p in targets if p not in has))

    def last_epoch(self, catalog: str) -> int:
        """The epoch of the newest marker that is known, -1 without one."""
        known = self._catalogs.get(catalog, CatalogRecords())
        newest = known.newest()
        if newest is not None:
            return newest.marker.epoch_id
        return -1 if known.recalled is None else known.recalled.epoch_id

    def last_end_ms(self, catalog: str) -> int:
        """When the window of the newest marker that is known ends, 0 without one."""
        known = self._catalogs.get(catalog, CatalogRecords())
        newest, recalled = known.newest(), known.recalled
        if newest is not None:
            return newest.marker.window_end_ms
        return 0 if recalled is None else epoch_window(recalled.epoch_id, recalled.set.payload.epoch_ms)[1]

    def open_end(self, catalog: str, partition: int) -> int | None:
        """Where the open window of a lane begins, in ms: the end of its newest marker's; None before the first."""
        known = self._catalogs.get(catalog)
        said = None if known is None else known.marked.get(partition)
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
        return [] if known is None else known.following()

    def _keys(self, payload: CatalogSetPayload) -> tuple[bytes, ...]:
        """The control keys that a set vouches for."""
        deployment = self._deployment
        return tuple(control_keys(deployment.control_key, deployment.genesis_hash, payload.certificates))

    def _take_set(self, record: Record, event: RawEvent, payload: CatalogSetPayload) -> None:
        keys, partition = self._keys(payload), record.partition
        made = Generation.of(payload, bytes(event.payload))
        known = self._catalogs.get(payload.catalog, CatalogRecords())
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
            defined = DefinedSet(payload, made.hash, encode_raw(event), made.lanes, keys, event.event_ms)
            known.sets[place] = defined
            self._decide_again(payload.catalog)
        elif event.event_ms > defined.said_ms:
            defined.value, defined.said_ms = encode_raw(event), event.event_ms
        defined.copies[partition] = Copy(record.offset, record.append_ms)

    def _lane(self, catalog: str, partition: int) -> LaneSets:
        made = LaneSets(Lane(catalog, partition), self._deployment)
        known = self._catalogs.get(catalog)
        if known is not None and known.recalled is not None:
            now = known.recalled.set
            made.recall(Generation(now.payload, now.hash), now.keys)
        return made

    def _take_marker(self, partition: int, said: SignedMarker) -> None:
        verdict = self._decide(partition, said)
        if verdict is None:
            self._undecided.setdefault(partition, deque(maxlen=UNDECIDED_MAX)).append(said)
        elif verdict and said.marker.next is not None:
            self._decide_again(said.marker.catalog)

    def _decide_again(self, catalog: str) -> None:
        """Look at the catalog's undecided markers until nothing new follows from them."""
        again = True
        while again:
            again = False
            for partition, waiting in self._undecided.items():
                for _ in range(len(waiting)):
                    said = waiting.popleft()
                    verdict = self._decide(partition, said) if said.marker.catalog == catalog else None
                    if verdict is None:
                        waiting.append(said)
                    again = again or (verdict is True and said.marker.next is not None)

    def _decide(self, partition: int, said: SignedMarker) -> bool | None:
        """Whether a marker counts; None as long as the set that says so has not been read."""
        marker = said.marker
        known = self._catalogs.get(marker.catalog)
        judge = None if known is None else known.judge(partition, marker)
        if known is None or judge is None:
            return None
        rule = judge.payload.sources.get(said.event.source)
        if rule is None or rule.key is None or EPOCH_END not in rule.kinds:
            return False
        if not self._is_signed(said.event, bytes.fromhex(rule.key)):
            return False
        before = known.marked.get(partition)
        if before is not None and marker.epoch_id <= before.marker.epoch_id:
            return False  # the first marker of an epoch in a lane counts
        known.marked[partition] = said
        if marker.next is not None:
            known.activated.setdefault(marker.next.generation, bytes.fromhex(marker.next.hash))
        if known.past(marker) is None:
            self._go_on(known, partition, marker)
        return True

    def _go_on(self, known: CatalogRecords, partition: int, marker: EpochEndPayload) -> None:
        """What a marker that counts leaves in force in a lane."""
        lane = known.lanes.setdefault(partition, self._lane(marker.catalog, partition))
        now = known.before(marker) if partition in marker.lanes else None
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

    def _is_signed(self, event: RawEvent, key: bytes) -> bool:
        said = (key, identity(event), event.signature)
        if said in self._verified:
            return True
        if not is_signed_by(event, said[1], self._deployment.genesis_hash, key):
            return False
        self._verified[said] = None
        if len(self._verified) > VERIFIED_MAX:
            del self._verified[next(iter(self._verified))]
        return True
