"""Historic time onto now: quiet stretches are shortened, then an anchor maps what remains at a constant speed.

*Virtual* time is historic time with every gap between events cut to a maximum. All of it is integer arithmetic, so an
event that is sent again carries the same time.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from m0common.errors import InvalidValue

DAY_MS = 86_400_000


class Timeline:
    """Real milliseconds to virtual ones. `moments` are the times at which something happens."""

    def __init__(self, moments: Sequence[int], max_gap_ms: int) -> None:
        if not moments or max_gap_ms <= 0:
            raise InvalidValue(f"{len(moments)} moments with gaps of at most {max_gap_ms} ms: both must be positive")
        self._real = sorted(set(moments))
        self._virtual = [self._real[0]]
        for before, after in zip(self._real, self._real[1:], strict=False):
            self._virtual.append(self._virtual[-1] + min(after - before, max_gap_ms))

    def virtual(self, moment_ms: int) -> int:
        """The virtual time of one of the moments. Raises InvalidValue for any other time."""
        index = bisect.bisect_left(self._real, moment_ms)
        if index == len(self._real) or self._real[index] != moment_ms:
            raise InvalidValue(f"{moment_ms} ms is not a moment of this timeline")
        return self._virtual[index]


@dataclass(frozen=True, slots=True)
class Anchor:
    """From event `from_index` on, virtual time `virtual_ms` is `now_ms`, and a virtual day lasts `day_lasts_ms`."""

    from_index: int
    now_ms: int
    virtual_ms: int
    day_lasts_ms: int

    def now_of(self, virtual_ms: int) -> int:
        """When a virtual moment is due."""
        return self.now_ms + (virtual_ms - self.virtual_ms) * self.day_lasts_ms // DAY_MS

    def virtual_of(self, now_ms: int) -> int:
        """The virtual moment that `now_ms` stands for."""
        return self.virtual_ms + (now_ms - self.now_ms) * DAY_MS // self.day_lasts_ms
