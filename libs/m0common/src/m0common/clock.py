"""Injected time. Nothing else in the project calls the wall clock; lanes and models have no clock at all."""

import time
from typing import Protocol


class Clock(Protocol):
    """A source of UTC milliseconds."""

    def now_ms(self) -> int:
        """UTC milliseconds since 1970."""
        ...


class SystemClock:
    """The wall clock of this machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told to, for tests."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, ms: int) -> None:
        """Move forward by `ms` milliseconds."""
        self._now_ms += ms
