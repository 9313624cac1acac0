"""Exact repeats: which events of a source a lane has applied.

A dense source numbers its events per group from 1; a sliding bitmap of WINDOW numbers tells repeats in any order, and
what lies below it counts as seen. Of any other source the newest IDS event ids per group are remembered. Both are
entities in chunks, so that an event changes about a hundred bytes of state, whatever the window.
"""

from typing import Final

from m0lanes import tags
from m0lanes.entities import Entities, entity_key

WINDOW: Final = 65_536
"""Numbers below the highest that are told apart."""
CHUNK: Final = 1_024
"""Numbers of one entity of the bitmap."""
IDS: Final = 2_048
IDS_CHUNK: Final = 32
ID_BYTES: Final = 16


class Dense:
    """Numbers of one dense source in one group."""

    def __init__(self, entities: Entities, source: str, group: str) -> None:
        self._entities = entities
        self._place = (source, group)
        self._high_key = entity_key(tags.SEQ_HIGH, source, group)
        self._high = int.from_bytes(entities.get(self._high_key) or b"", "big")
        self._chunk: tuple[int, bytes] = (-1, b"")
        """The number and key of the chunk that was touched last."""

    def seen(self, seq: int) -> bool:
        """Whether this number was applied, or is too old to tell."""
        if seq > self._high:
            return False
        if seq <= self._high - WINDOW:
            return True
        chunk = self._entities.get(self._chunk_key(seq // CHUNK))
        at = seq % CHUNK
        return chunk is not None and bool(chunk[at >> 3] & 1 << (at & 7))

    def add(self, seq: int) -> None:
        """Note that this number is applied."""
        if seq > self._high:
            # chunks that the window leaves are dropped one by one; far jumps leave at most WINDOW / CHUNK of them
            first, last = max(0, self._high - WINDOW + 1) // CHUNK, max(0, seq - WINDOW + 1) // CHUNK
            if first < last:
                for number in range(first, min(last, self._high // CHUNK + 1)):
                    self._entities.drop(self._chunk_key(number))
            self._high = seq
            self._entities.put(self._high_key, seq.to_bytes(8, "big"))
        key, at = self._chunk_key(seq // CHUNK), seq % CHUNK
        chunk = bytearray(self._entities.get(key) or bytes(CHUNK // 8))
        chunk[at >> 3] |= 1 << (at & 7)
        self._entities.put(key, bytes(chunk))

    def _chunk_key(self, number: int) -> bytes:
        if self._chunk[0] != number:
            self._chunk = (number, entity_key(tags.SEQ_SEEN, *self._place, number.to_bytes(8, "big")))
        return self._chunk[1]


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

    def seen(self, event_id: bytes) -> bool:
        """Whether this event was applied, of the newest IDS at least."""
        return event_id[:ID_BYTES] in self._known

    def add(self, event_id: bytes) -> None:
        """Note that this event is applied."""
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
    """The repeats of a lane, by source and group. What it keeps at hand is made from the entities."""

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._dense: dict[tuple[str, str], Dense] = {}
        self._ids: dict[tuple[str, str], Ids] = {}

    def seen(self, source: str, group: str, seq: int, event_id: bytes, *, dense: bool) -> bool:
        """Whether the lane has applied this event."""
        return self._of_seq(source, group).seen(seq) if dense else self._of_id(source, group).seen(event_id)

    def add(self, source: str, group: str, seq: int, event_id: bytes, *, dense: bool) -> None:
        """Note that the lane applies this event."""
        if dense:
            self._of_seq(source, group).add(seq)
        else:
            self._of_id(source, group).add(event_id)

    def _of_seq(self, source: str, group: str) -> Dense:
        found = self._dense.get((source, group))
        if found is None:
            found = self._dense[source, group] = Dense(self._entities, source, group)
        return found

    def _of_id(self, source: str, group: str) -> Ids:
        found = self._ids.get((source, group))
        if found is None:
            found = self._ids[source, group] = Ids(self._entities, source, group)
        return found
