"""How long the messages of a partition wait: told by ends of the log that were seen, so no wall clock is compared with
times that a broker or a writer chose.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

SEEN_MAX: Final = 64
SPACING: Final = 16


class _Seen(NamedTuple):
    at_s: float
    end: int


class Lags:
    """Per partition the ends that were seen and are not reached yet, the oldest first.

    They are kept a sixteenth of `after_s` apart, so many that a lag of up to four times `after_s` is told in full.
    """

    def __init__(self, after_s: float) -> None:
        """Args: `after_s` is how long a message may wait until the partition is behind."""
        self._after_s = after_s
        self._seen: dict[int, deque[_Seen]] = {}
        self._now_s = 0.0

    def see(self, places: Mapping[int, tuple[int, int]], now_s: float) -> None:
        """Note by partition the offset that is read next and the end of its log; partitions left out are forgotten.

        An end that the log no longer reaches was seen in another one, which stood in its place.
        """
        self._now_s = now_s
        self._seen = {partition: self._seen.get(partition, deque(maxlen=SEEN_MAX)) for partition in places}
        for partition, (next_offset, end) in places.items():
            seen = self._seen[partition]
            while seen and seen[0].end <= next_offset:
                seen.popleft()
            while seen and seen[-1].end > end:
                seen.pop()
            if end > next_offset and (not seen or now_s - seen[-1].at_s >= self._after_s / SPACING):
                seen.append(_Seen(now_s, end))

    def behind(self) -> dict[int, int]:
        """By partition the seconds for which its next message has been known and not read, where that is too long."""
        waited = {partition: self._now_s - seen[0].at_s for partition, seen in self._seen.items() if seen}
        return {partition: int(seconds) for partition, seconds in waited.items() if seconds > self._after_s}
