"""Sequence numbers that survive restarts and agree between replicas: a channel's number counts its updates in the log.

One Numbering belongs to one partition. Counting from the beginning of the log needs nothing else. Once retention has
cut the beginning off, an anchor (how far each channel had counted at some offset, kept in a compacted topic) gives what
was counted from the middle its true place. Without an anchor the numbers start at the first offset that is left: no
channel can have counted further, so a client is told of a gap instead of being told wrong numbers.
"""

from collections.abc import Mapping

import msgspec

from m0_realtime.names import Name, parse


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """`counts[channel]` updates of each channel lie before `offset` of the partition."""

    topic: str
    partition: int
    offset: int
    counts: dict[str, int]


class Numbering:
    """Counts the updates of a partition's channels, read from offset `start` on."""

    def __init__(self, start: int, anchor: Anchor | None = None) -> None:
        self._anchor = anchor
        self.counts: dict[Name, int] = {}
        self.next_offset = start
        self.base = 0
        """What a channel that was never seen counts from."""
        if anchor is None:
            self.base = start
        elif anchor.offset < start:
            # between the anchor and what is left lie records nobody can count: more than they can never be
            self.base = start - anchor.offset
            self.counts = {parse(text): count + self.base for text, count in anchor.counts.items()}
            self._anchor = None

    def base_of(self, name: Name) -> int:
        """What a new channel `name` counts from."""
        return self.counts.get(name, self.base)

    def begin(self, offset: int) -> Mapping[Name, int]:
        """Call before the record at `offset`; returns by how much channels must be moved (mostly nothing)."""
        if self._anchor is not None and offset >= self._anchor.offset:
            return self._adopt(self._anchor, reached=True)
        return {}

    def count(self, name: Name) -> None:
        """An update of `name` was published."""
        self.counts[name] = self.base_of(name) + 1

    def end(self, offset: int) -> None:
        """The record at `offset` is done."""
        self.next_offset = offset + 1

    def finish(self) -> Mapping[Name, int]:
        """The log was read to its end; returns by how much channels must be moved."""
        if self._anchor is None:
            return {}
        # an anchor behind the end of the log speaks of a log that is gone: this one continues its numbers
        return self._adopt(self._anchor, reached=self.next_offset >= self._anchor.offset)

    def _adopt(self, anchor: Anchor, *, reached: bool) -> Mapping[Name, int]:
        self._anchor = None
        true = {parse(text): count for text, count in anchor.counts.items()}
        shifts = {}
        for name in self.counts.keys() | true.keys():
            counted = self.counts.get(name, 0)
            target = true.get(name, counted) if reached else true.get(name, 0) + counted
            shifts[name] = target - counted
            self.counts[name] = target
        return {name: shift for name, shift in shifts.items() if shift}

    def anchor(self, topic: str, partition: int) -> Anchor:
        """What to write down now."""
        return Anchor(topic, partition, self.next_offset, {str(name): count for name, count in self.counts.items()})
