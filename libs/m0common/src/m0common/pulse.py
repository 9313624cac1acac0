"""Whether something that a process stands on answers, so that its readiness says so within seconds, whoever asks."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

EVERY_S = 1.0
PATIENCE_S = 3.5
"""For so long there may be no answer before it is a problem: one that was lost is none."""


class Pulse(ABC):
    """Asks every second. `beat_s` is how long asking once takes at most, `seconds` a monotonic clock."""

    def __init__(self, beat_s: float, seconds: Callable[[], float] = time.monotonic) -> None:
        self._longest_s, self._seconds = beat_s, seconds
        self._answered_s = self._beat_s = seconds()

    @abstractmethod
    def problem(self) -> str | None:
        """One sentence, None while all is well."""

    @abstractmethod
    async def beat(self) -> None:
        """Ask once."""

    def now_s(self) -> float:
        """The time as far as this process has come to ask: one that has not says nothing of others."""
        return min(self._seconds(), self._beat_s + EVERY_S + self._longest_s)

    def silent_s(self) -> float:
        """How long ago the last answer was."""
        return self.now_s() - self._answered_s

    def answered(self) -> float:
        """Note an answer; returns when it came."""
        self._answered_s = self._beat_s = self._seconds()
        return self._answered_s

    def unanswered(self) -> None:
        """Note that there was no answer."""
        self._beat_s = self._seconds()

    async def run(self) -> None:
        """Ask until cancelled. A pulse that is not taken says that all is well: whoever has one runs this too."""
        while True:
            await self.beat()
            await asyncio.sleep(EVERY_S)
