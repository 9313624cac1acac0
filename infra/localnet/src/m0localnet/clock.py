"""The chain's clock: real time plus an offset, never going back or jumping by itself."""

from __future__ import annotations

from typing import Final

from m0common.clock import Clock, SlewedClock

RATE_DIVISOR: Final = 4
"""A cluster's time is the median of what its validators vote, held within a quarter of the rate at which slots pass."""


class ChainClock:
    """``clock`` is the machine's; ``offset`` is what the admin methods added, in seconds."""

    def __init__(self, clock: Clock, offset: int) -> None:
        self._real = SlewedClock(clock, RATE_DIVISOR)
        self._floor = 0
        self.offset = offset

    def unix_time(self) -> int:
        """Return the chain's time in seconds."""
        return max(self._seconds() + self.offset, self._floor)

    def advance_to(self, unix_time: int) -> None:
        """Note a time the chain has shown: an earlier one will not follow, even if it starts on a clock set back."""
        self._floor = max(self._floor, unix_time)

    def move(self, seconds: int) -> None:
        """Shift the clock, in either direction, from now on."""
        target = self.unix_time() + seconds
        self.offset = target - self._seconds()
        self._floor = target

    def _seconds(self) -> int:
        return self._real.now_ms() // 1000
