"""Events that wait for their window: what is at or after the open window's end is applied behind the marker.

The log has them. What a lane holds at hand is lost with its process and read again, from the first that it held.
"""

from typing import NamedTuple

from m0common.messages import RawEvent
from m0common.stream.records import Record

from m0lanes.place import Place


class Held(NamedTuple):
    """An event with its record and its place in the log."""

    record: Record
    event: RawEvent
    place: Place


class Holding:
    """The events a lane holds back, in the order of the log."""

    def __init__(self) -> None:
        self._held: list[Held] = []

    def __len__(self) -> int:
        return len(self._held)

    def add(self, held: Held) -> None:
        """Hold one more."""
        self._held.append(held)

    def take(self, below_ms: int) -> list[Held]:
        """Those dated before `below_ms`, in the order of the log; they are held no longer."""
        due = [held for held in self._held if held.event.event_ms < below_ms]
        if due:
            self._held = [held for held in self._held if held.event.event_ms >= below_ms]
        return due

    def first(self) -> Held | None:
        """The first in the log: reading again must begin there."""
        return self._held[0] if self._held else None

    def clear(self) -> None:
        """Hold nothing."""
        self._held.clear()


class Refill:
    """A lane on the way to where its manifest stands, holding again what it held there.

    From offset `since` to `until` only what is dated at or after `below_ms` was still held. `at_marker`: the record at
    `until` is a marker, and what follows from it is still to be done.
    """

    def __init__(self, since: int, until: int, below_ms: int, place: Place, *, at_marker: bool) -> None:
        self.since = since
        self.until = until
        self.at_marker = at_marker
        self.place = place
        self._below_ms = below_ms

    def held(self, record: Record, event: RawEvent) -> Held | None:
        """What a record is to be held as; None when it was applied, or passed over."""
        if record.offset < self.since or event.event_ms < self._below_ms:
            return None
        return None if self.place.verdict(event, record.append_ms) is not None else Held(record, event, self.place)
