"""Events that wait for their window: what is at or after the open window's end is applied behind the marker.

The log has them. What a lane has at hand is lost with its process and read again, from the first that it held. What it
has no room for is read again when its window opens.
"""

from typing import Final, NamedTuple

from m0common.messages import RawEvent
from m0common.stream.records import Record

from m0lanes.place import Place

HELD_MAX_BYTES: Final = 8 << 20
"""So many bytes of events a lane holds at hand."""


class Held(NamedTuple):
    """An event with its record and its place in the log."""

    record: Record
    event: RawEvent
    place: Place


def _size(held: Held) -> int:
    record = held.record
    return len(record.value) + len(record.key or b"")


class Waiting(NamedTuple):
    """Where in the log held events begin."""

    offset: int
    place: Place


class Holding:
    """The events a lane holds back, in the order of the log.

    Up to `max_bytes` of them are at hand (None: all of them). Of what follows no more is kept than where it begins and
    the earliest of its times.
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        self._max_bytes = max_bytes
        self._held: list[Held] = []
        self._bytes = 0
        self._beyond: Waiting | None = None
        self._beyond_ms = 0

    @property
    def bytes(self) -> int:
        """Of what is at hand."""
        return self._bytes

    def add(self, held: Held) -> None:
        """Hold one more, which stands behind the others in the log."""
        event_ms = held.event.event_ms
        if self._beyond is not None:
            self._beyond_ms = min(self._beyond_ms, event_ms)
            return
        size = _size(held)
        if self._max_bytes is not None and self._bytes + size > self._max_bytes:
            self._beyond, self._beyond_ms = Waiting(held.record.offset, held.place), event_ms
            return
        self._held.append(held)
        self._bytes += size

    def take(self, below_ms: int) -> list[Held]:
        """Those at hand that are dated before `below_ms`, in the order of the log; they are held no longer."""
        due = [held for held in self._held if held.event.event_ms < below_ms]
        if due:
            self._held = [held for held in self._held if held.event.event_ms >= below_ms]
            for held in due:
                self._bytes -= _size(held)
        return due

    def take_beyond(self, below_ms: int) -> Waiting | None:
        """Where what is not at hand begins, if any of it is dated before `below_ms`; all of it is held no longer."""
        beyond = self._beyond
        if beyond is None or self._beyond_ms >= below_ms:
            return None
        self._beyond = None
        return beyond

    def first(self) -> Waiting | None:
        """The first in the log: reading again must begin there."""
        if not self._held:
            return self._beyond
        first = self._held[0]
        return Waiting(first.record.offset, first.place)


class Refill:
    """A lane on the way to where it stands, holding again what it held there.

    From offset `since` to `until` only what is dated at or after `below_ms` was still held; what is dated before
    `due_ms` waits no longer and is applied on the way. `at_marker`: the record at `until` is a marker, and what follows
    from it is still to be done.
    """

    def __init__(
        self, since: int, until: int, below_ms: int, place: Place, *, due_ms: int = 0, at_marker: bool = False
    ) -> None:
        self.since = since
        self.until = until
        self.at_marker = at_marker
        self.place = place
        self._below_ms = below_ms
        self._due_ms = due_ms

    def held(self, record: Record, event: RawEvent) -> Held | None:
        """What a record was held as; None when it was applied, or passed over."""
        if record.offset < self.since or event.event_ms < self._below_ms:
            return None
        return None if self.place.verdict(event, record.append_ms) is not None else Held(record, event, self.place)

    def is_due(self, event: RawEvent) -> bool:
        """Whether an event that was held waits no longer."""
        return event.event_ms < self._due_ms
