"""The time that epochs end by: steady, nearing the wall clock, never jumping with it."""

from m0common.clock import Clock

RATE_DIVISOR = 10
"""Towards the wall clock it runs at most a tenth faster or slower than time passes."""


class MarkerClock:
    """A clock that goes by the steady clock and nears the wall clock by at most a tenth of its rate.

    It begins at the later of `not_before_ms` (the end of the newest marker's window) and the wall clock. Whatever is
    done to the wall clock, `n` milliseconds are between 0.9 and 1.1 `n` here. It is a Clock itself.
    """

    def __init__(self, clock: Clock, not_before_ms: int = 0) -> None:
        self._clock = clock
        self._seen_ms = clock.monotonic_ms()
        # in tenths of a millisecond, so that the rate is exact however often it is read
        self._tenths = RATE_DIVISOR * max(not_before_ms, clock.now_ms())

    def now_ms(self) -> int:
        """UTC milliseconds; never less than before."""
        monotonic = self._clock.monotonic_ms()
        passed = max(0, monotonic - self._seen_ms)
        self._seen_ms = max(self._seen_ms, monotonic)
        self._tenths += RATE_DIVISOR * passed
        behind = RATE_DIVISOR * self._clock.now_ms() - self._tenths
        self._tenths += max(-passed, min(passed, behind))
        return self._tenths // RATE_DIVISOR

    def monotonic_ms(self) -> int:
        """The steady clock itself."""
        return self._clock.monotonic_ms()

    def ahead_ms(self) -> int:
        """How far it is ahead of the wall clock; negative when it is behind."""
        return self.now_ms() - self._clock.now_ms()
