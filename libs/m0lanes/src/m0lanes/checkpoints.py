"""Checkpoints of a lane: batches of at most 256 KiB, the manifest over them, and how both become a state again.

Pure: where they are written and read from is `m0common.stream.states`.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from operator import attrgetter

from m0common.messages import Manifest, StateBatch, encode
from m0common.topics import ONCE_MAX_BYTES

from m0lanes.entities import SHARES, Entry

_OVERHEAD = 128
_ENTRY_OVERHEAD = 12

_by_position = attrgetter("position")


def batches(
    catalog: str,
    partition: int,
    life: int,
    position: int,
    entries: Sequence[Entry],
    max_bytes: int = ONCE_MAX_BYTES,
) -> list[bytes]:
    """The values to write to the state topic, at least one, each at most `max_bytes` unless one entity is larger."""
    made: list[list[Entry]] = [[]]
    size = _OVERHEAD
    for entry in entries:
        weight = _ENTRY_OVERHEAD + len(entry.key) + len(entry.value or b"")
        if size + weight > max_bytes and made[-1]:
            made.append([])
            size = _OVERHEAD
        made[-1].append(entry)
        size += weight
    return [encode(StateBatch(catalog, partition, life, position, tuple(part))) for part in made]


class Beginnings:
    """Where the last K checkpoints of a lane began, so that a manifest can say from where everything is said again."""

    def __init__(self, shares: int = SHARES) -> None:
        self._began: deque[tuple[int, int]] = deque(maxlen=shares + 1)
        self._floor: tuple[int, int] | None = None
        self._begin = 0

    @property
    def whole_next(self) -> bool:
        """Whether the next checkpoint must say everything: nothing is said of this life yet, or not all of what was
        said can be read any more.
        """
        start = self._start()
        return start is None or start[1] < self._begin

    def inherit(self, manifest: Manifest) -> None:
        """Go on from a manifest that was restored: until K more are written, reading begins where its reading did."""
        self._floor = (manifest.from_position, manifest.from_offset)
        self._began.clear()

    def trimmed(self, begin: int) -> None:
        """The state topic begins at `begin` now. Others may have cut off what a lane said that stood still for long;
        it had been carried forward before, but not by this one.
        """
        self._begin = max(self._begin, begin)

    def began(self, position: int, offset: int, *, whole: bool) -> tuple[int, int]:
        """A checkpoint was written at `position`, its first batch at `offset`; it said everything or its share.

        Returns `(from_position, from_offset)` of its manifest.
        """
        if whole:
            self._floor = None
            self._began.clear()
        self._began.append((position, offset))
        if len(self._began) == self._began.maxlen:
            self._floor = None
        start = self._start()
        assert start is not None
        return start

    def _start(self) -> tuple[int, int] | None:
        return self._floor or (self._began[0] if self._began else None)


def gathered(manifest: Manifest, found: Iterable[StateBatch]) -> dict[bytes, bytes]:
    """The entities that a manifest is over, out of the batches in its range, whoever wrote them.

    What lies below `from_position` or above `position` is somebody else's; per key the highest position counts.
    """
    place = (manifest.catalog, manifest.partition, manifest.life)
    first, last = manifest.from_position, manifest.position
    own = [b for b in found if first <= b.position <= last and (b.catalog, b.partition, b.life) == place]
    newest: dict[bytes, bytes | None] = {}
    for batch in sorted(own, key=_by_position):
        newest.update(batch.entries)
    return {key: value for key, value in newest.items() if value is not None}
