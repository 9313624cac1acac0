"""The chain's clock: real time plus an offset, never going back or jumping by itself."""

from __future__ import annotations

from typing import Final

from m0common.clock import Clock, SlewedClock

RATE_DIVISOR: Final = 4
"""A cluster's time is the median of what its validators vote, held within a quarter of the rate at which slots pass."""


class ChainClock:
    """``clock`` is the machine's; ``offset_ms`` is what the admin methods added, in milliseconds."""

    def __init__(self, clock: Clock, offset_ms: int) -> None:
        self._real = SlewedClock(clock, RATE_DIVISOR)
        self._floor_ms = 0
        self.offset_ms = offset_ms

    def now_ms(self) -> int:
        """Return the chain's time in milliseconds."""
        return max(self._real.now_ms() + self.offset_ms, self._floor_ms)

    def unix_time(self) -> int:
        """Return the chain's time in seconds."""
        return self.now_ms() // 1000

    def advance_to(self, unix_time: int) -> None:
        """Note a time the chain has shown: an earlier one will not follow, even if it starts on a clock set back."""
        self._floor_ms = max(self._floor_ms, unix_time * 1000)

    def move(self, ms: int) -> None:
        """Shift the clock, in either direction, from now on."""
        target = self.now_ms() + ms
        self.offset_ms = target - self._real.now_ms()
        self._floor_ms = target
