"""Stretches of offsets, `[start, end)`: what of a log is wanted and what of it was read."""

from collections.abc import Iterable, Iterator


class Stretches:
    """A set of offsets as stretches that are ascending and do not touch; empty ones are none."""

    def __init__(self, stretches: Iterable[tuple[int, int]] = ()) -> None:
        self._known: list[tuple[int, int]] = []
        for start, end in stretches:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Add one stretch."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted([*self._known, *([(start, end)] if start < end else [])]):
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        self._known = merged

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._known)

    def without(self, others: "Stretches") -> "Stretches":
        """What is in none of `others`."""
        left = Stretches()
        for start, end in self:
            at = start
            for first, last in others:
                if last > at and first < end:
                    left.add(at, first)
                    at = last
            left.add(at, end)
        return left
