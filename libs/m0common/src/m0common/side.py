"""Tasks beside a process's main work that may fail alone.

A failure is one line in the log, a count and a note in `/ready`; the task is begun again, and the main work goes on.
What may not fail alone does not belong here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn

from m0common import metrics
from m0common.telemetry.logs import logger

_log = logger(__name__)


@dataclass(slots=True)
class SideTasks:
    """Runs each in turn of its own; `notes` names those that fail, and why."""

    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    held_s: float = 60.0
    """a task that has run for so long is well again"""
    _failed: dict[str, str] = field(default_factory=dict)

    def notes(self) -> str | None:
        """What does not work at the moment, None when everything does."""
        return "; ".join(f"{name}: {why}" for name, why in sorted(self._failed.items())) or None

    async def run(
        self, name: str, begin: Callable[[], Awaitable[object]], through: tuple[type[Exception], ...] = ()
    ) -> NoReturn:
        """Run a task again and again, with growing pauses; until cancelled, or it raises what is to come `through`
        because it is no fault of the task alone.
        """
        loop, pause_s = asyncio.get_running_loop(), self.first_pause_s
        while True:
            well = loop.call_later(self.held_s, self._failed.pop, name, None)
            began_s = loop.time()
            try:
                await begin()
            except through:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
                self._note(name, error)
            finally:
                well.cancel()
            pause_s = self.first_pause_s if loop.time() - began_s >= self.held_s else pause_s
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, self.longest_pause_s)

    def _note(self, name: str, error: Exception) -> None:
        why = f"{type(error).__name__}: {error}"
        metrics.SIDE_FAILURES.labels(name).inc()
        if self._failed.get(name) != why:
            _log.warning("side_task_failed", task=name, error=why)
        self._failed[name] = why
