"""Exact repeats: which events of a source a lane has applied.

A dense source numbers its events per group from 1; a sliding bitmap of WINDOW numbers tells repeats in any order, and
what lies below it counts as seen. Of any other source the newest IDS event ids per group are remembered. Both are
entities in chunks, so that an event changes about a hundred bytes of state, whatever the window.
"""

from typing import Final, Protocol

from m0lanes import tags
from m0lanes.entities import Entities, entity_key

WINDOW: Final = 65_536
"""Numbers below the highest that are told apart."""
CHUNK: Final = 1_024
"""Numbers of one entity of the bitmap."""
IDS: Final = 2_048
IDS_CHUNK: Final = 32
ID_BYTES: Final = 16


class Known(Protocol):
    """What is known of one source in one group."""

    def seen(self, seq: int, event_id: bytes) -> bool:
        """Whether this event was applied, or is too old to tell."""
        ...

    def add(self, seq: int, event_id: bytes) -> None:
        """Note that this event is applied."""
        ...


class Dense:
    """Numbers of one dense source in one group. The chunk touched last is at hand; `write_back` makes it an entity."""

    def __init__(self, entities: Entities, source: str, group: str) -> None:
        self._entities = entities
        self._place = (source, group)
        self._high_key = entity_key(tags.SEQ_HIGH, source, group)
        self._high = self._written = int.from_bytes(entities.get(self._high_key) or b"", "big")
        """The highest number, and the one that the entities say."""
        self._number = self._high // CHUNK
        self._chunk = self._read(self._number)
        self._changed = False

    def seen(self, seq: int, _event_id: bytes) -> bool:
        """See Known."""
        if seq > self._high:
            return False
        if seq <= self._high - WINDOW:
            return True
        number, at = divmod(seq, CHUNK)
        chunk = self._chunk if number == self._number else self._read(number)
        return bool(chunk[at >> 3] & 1 << (at & 7))

    def add(self, seq: int, _event_id: bytes) -> None:
        """See Known."""
        number, at = divmod(seq, CHUNK)
        if number != self._number:
            self.write_back()
            self._number, self._chunk = number, self._read(number)
        self._high = max(self._high, seq)
        self._chunk[at >> 3] |= 1 << (at & 7)
        self._changed = True

    def write_back(self) -> None:
        """Write what is at hand."""
        if not self._changed:
            return
        # chunks that the window has left are dropped one by one; far jumps leave at most WINDOW / CHUNK of them
        for number in range(_oldest(self._written), min(_oldest(self._high), self._written // CHUNK + 1)):
            self._entities.drop(self._key(number))
        self._entities.put(self._high_key, self._high.to_bytes(8, "big"))
        self._entities.put(self._key(self._number), bytes(self._chunk))
        self._written = self._high
        self._changed = False

    def _read(self, number: int) -> bytearray:
        return bytearray(self._entities.get(self._key(number)) or bytes(CHUNK // 8))

    def _key(self, number: int) -> bytes:
        return entity_key(tags.SEQ_SEEN, *self._place, number.to_bytes(8, "big"))


def _oldest(high: int) -> int:
    """The first chunk of the window below a highest number."""
    return max(0, high - WINDOW + 1) // CHUNK


class Ids:
    """Event ids of one source in one group."""

    def __init__(self, entities: Entities, source: str, group: str) -> None:
        self._entities = entities
        self._place = (source, group)
        self._next_key = entity_key(tags.ID_NEXT, source, group)
        self._next = int.from_bytes(entities.get(self._next_key) or b"", "big")
        self._known: dict[bytes, int] = {}
        newest = (self._next - 1) // IDS_CHUNK
        for number in range(max(0, newest - IDS // IDS_CHUNK), newest + 1):
            chunk = entities.get(self._chunk_key(number)) or b""
            for index in range(len(chunk) // ID_BYTES):
                self._known[chunk[index * ID_BYTES : (index + 1) * ID_BYTES]] = number * IDS_CHUNK + index

    def seen(self, _seq: int, event_id: bytes) -> bool:
        """See Known: of the newest IDS events at least."""
        return event_id[:ID_BYTES] in self._known

    def add(self, _seq: int, event_id: bytes) -> None:
        """See Known."""
        number, at = divmod(self._next, IDS_CHUNK)
        if at == 0:
            self._forget(number - IDS // IDS_CHUNK - 1)
        key, short = self._chunk_key(number), event_id[:ID_BYTES]
        self._entities.put(key, (self._entities.get(key) or b"") + short)
        self._known[short] = self._next
        self._next += 1
        self._entities.put(self._next_key, self._next.to_bytes(8, "big"))

    def _forget(self, number: int) -> None:
        if number < 0:
            return
        chunk = self._entities.get(self._chunk_key(number)) or b""
        for index in range(len(chunk) // ID_BYTES):
            self._known.pop(chunk[index * ID_BYTES : (index + 1) * ID_BYTES], None)
        self._entities.drop(self._chunk_key(number))

    def _chunk_key(self, number: int) -> bytes:
        return entity_key(tags.ID_SEEN, *self._place, number.to_bytes(8, "big"))


class Repeats:
    """What is known of a lane's sources. What is at hand comes from the entities; `write_back` makes it entities."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._dense: dict[tuple[str, str], Dense] = {}
        self._ids: dict[tuple[str, str], Ids] = {}

    def of(self, source: str, group: str, *, dense: bool) -> Known:
        """What is known of a source in a group; `dense`: it numbers its events."""
        known: Known | None = (self._dense if dense else self._ids).get((source, group))
        return known or self._first_of(source, group, dense=dense)

    def _first_of(self, source: str, group: str, *, dense: bool) -> Known:
        if dense:
            numbers = self._dense[source, group] = Dense(self._entities, source, group)
            return numbers
        ids = self._ids[source, group] = Ids(self._entities, source, group)
        return ids

    def write_back(self) -> None:
        """Make everything known entities: before a digest or a checkpoint."""
        for numbers in self._dense.values():
            numbers.write_back()
