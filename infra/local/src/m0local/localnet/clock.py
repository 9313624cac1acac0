"""The chain's clock: real time plus an offset, never going back by itself."""

from __future__ import annotations

from collections.abc import Callable


class ChainClock:
    """``now`` gives the real unix time and ``offset`` what the admin methods added, both in seconds."""

    def __init__(self, now: Callable[[], float], offset: int) -> None:
        self._now = now
        self._floor = 0
        self.offset = offset

    def unix_time(self) -> int:
        """Return the chain's time in seconds."""
        return max(int(self._now()) + self.offset, self._floor)

    def advance_to(self, unix_time: int) -> None:
        """Note a time the chain has shown: an earlier one will not follow, even if the machine's clock is set back."""
        self._floor = max(self._floor, unix_time)

    def move(self, seconds: int) -> None:
        """Shift the clock, in either direction, from now on."""
        target = self.unix_time() + seconds
        self.offset = target - int(self._now())
        self._floor = target
