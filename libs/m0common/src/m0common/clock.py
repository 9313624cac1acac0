"""Injected time. Nothing else in the project calls the wall clock; lanes and models have no clock at all."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from m0common.errors import SettingsError

TEST_CLOCK_FILE = "M0_TEST_CLOCK_FILE"
"""Names a file with a shift of the wall clock in milliseconds, in dev alone."""

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where the system has such a clock."""


class Clock(Protocol):
    """A source of UTC milliseconds, and of milliseconds that never go back."""

    def now_ms(self) -> int:
        """UTC milliseconds since 1970."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since some moment, steady whatever happens to the wall clock."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        return time.clock_gettime_ns(_STEADY) // 1_000_000


class ShiftedClock(SystemClock):
    """The machine's clocks with the wall clock shifted by the milliseconds in a file, read anew at each look.

    Without the file the shift is 0, so a test steps the clock and back without starting anything again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def now_ms(self) -> int:
        return super().now_ms() + self._shift_ms()

    def _shift_ms(self) -> int:
        try:
            text = self._path.read_text().strip()
        except FileNotFoundError:
            return 0
        try:
            return int(text or "0")
        except ValueError:
            raise SettingsError(
                f"{TEST_CLOCK_FILE} {self._path} holds {text[:40]!r}: write a whole number of milliseconds"
            ) from None


class SlewedClock:
    """A clock that goes by the steady clock and nears the wall clock by at most `1/divisor` of its rate.

    It begins at the later of `not_before_ms` and the wall clock. Whatever is done to the wall clock, `n` milliseconds
    are between `n - n/divisor` and `n + n/divisor` here. It is a Clock itself.
    """

    def __init__(self, clock: Clock, divisor: int, not_before_ms: int = 0) -> None:
        self._clock = clock
        self._divisor = divisor
        self._seen_ms = clock.monotonic_ms()
        # in parts of a millisecond, so that the rate is exact however often it is read
        self._parts = divisor * max(not_before_ms, clock.now_ms())

    def now_ms(self) -> int:
        """UTC milliseconds; never less than before."""
        monotonic = self._clock.monotonic_ms()
        passed = max(0, monotonic - self._seen_ms)
        self._seen_ms = max(self._seen_ms, monotonic)
        self._parts += self._divisor * passed
        behind = self._divisor * self._clock.now_ms() - self._parts
        self._parts += max(-passed, min(passed, behind))
        return self._parts // self._divisor

    def monotonic_ms(self) -> int:
        """The steady clock itself."""
        return self._clock.monotonic_ms()

    def ahead_ms(self) -> int:
        """How far it is ahead of the wall clock; negative when it is behind."""
        return self.now_ms() - self._clock.now_ms()


class ManualClock:
    """A clock that moves only when told to, for tests."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 0

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic_ms(self) -> int:
        return self._monotonic_ms

    def advance(self, ms: int) -> None:
        """Let `ms` milliseconds pass."""
        self._now_ms += ms
        self._monotonic_ms += ms

    def step(self, ms: int) -> None:
        """Move the wall clock alone, as somebody who sets it does; `ms` may be negative."""
        self._now_ms += ms


def system_clock(env: str, environ: Mapping[str, str] = os.environ) -> SystemClock:
    """The clock of a process in an environment. Raises SettingsError when a test clock is named outside dev."""
    path = environ.get(TEST_CLOCK_FILE)
    if not path:
        return SystemClock()
    if env != "dev":
        raise SettingsError(f"{TEST_CLOCK_FILE} shifts the clock for tests: unset it, the environment is {env}")
    return ShiftedClock(Path(path))
