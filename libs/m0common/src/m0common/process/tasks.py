"""The tasks of a process: whose failure ends it, which may fail alone, and how they are drained."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from m0common.errors import M0Error
from m0common.side import SideTasks
from m0common.tasks import AGAIN_S, leave_behind
from m0common.telemetry.logs import logger

LAST_S = 1.0
"""What was cancelled because the grace period was over has so long to let go."""

Run = Callable[[], Awaitable[None]]
Stop = Callable[[], None]

_log = logger(__name__)


class Ended(M0Error):
    """A task ended although nobody stopped it: what it did is not done any more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"task {name!r} has ended though nobody stopped it; start the process again, and report this")


@dataclass(slots=True)
class _Task:
    running: asyncio.Task[None]
    stop: Stop | None
    """None: it is cancelled"""

    @property
    def name(self) -> str:
        return self.running.get_name()


class Tasks:
    """Begins tasks and watches them; `on_failure` is called once, when the first that may not fail has failed."""

    def __init__(self, on_failure: Callable[[], None], side: SideTasks | None = None) -> None:
        self.main: list[str] = []
        """names of those whose failure ends the process"""
        self.beside: list[str] = []
        """names of those that may fail alone"""
        self.failure: BaseException | None = None
        """what the first to fail raised"""
        self._on_failure = on_failure
        self._side = side or SideTasks()
        self._tasks: list[_Task] = []
        self._draining = False

    def task(self, name: str, run: Run, stop: Stop | None = None) -> None:
        """Begin a task whose failure, or end, is the failure of the process.

        With `stop` a drain calls that and the task ends by itself; without, it is cancelled at once.
        """
        self.main.append(name)
        self._begin(name, run, stop)

    def side(self, name: str, run: Run) -> None:
        """Begin a task that may fail alone, and is begun again then: see m0common.side."""
        self.beside.append(name)
        self._begin(name, lambda: self._side.run(name, run), None)

    async def alone(self, name: str, run: Run, through: tuple[type[Exception], ...] = ()) -> NoReturn:
        """Run here what may fail alone, as `side` does."""
        await self._side.run(name, run, through)

    def notes(self) -> str | None:
        """Which of those that may fail alone fail, and why."""
        return self._side.notes()

    async def drain(self, grace_s: float) -> None:
        """End everything: what has not ended by itself within `grace_s` is named and cancelled. Raises nothing."""
        self._draining = True
        ends_s = asyncio.get_running_loop().time() + grace_s
        for task in self._tasks:
            self._ask(task)
        await self._ended(ends_s, [task for task in self._tasks if task.stop is None])
        late = self._running()
        for task in late:
            _log.warning("not_drained", task=task.name, grace_ms=round(grace_s * 1000))
            task.running.cancel()
        await self._ended(ends_s + LAST_S, late)
        for task in self._running():
            _log.error(
                "not_ended", task=task.name, reason=f"it has not let go within {LAST_S:.0f} s of being cancelled"
            )
            leave_behind(task.running)

    def _begin(self, name: str, run: Run, stop: Stop | None) -> None:
        async def running() -> None:
            await run()

        if any(task.name == name for task in self._tasks):
            raise ValueError(f"there is a task {name!r} already: give this one another name")
        task = asyncio.create_task(running(), name=name)
        self._tasks.append(_Task(task, stop))
        task.add_done_callback(self._hear)

    def _hear(self, task: asyncio.Task[None]) -> None:
        """A task has ended."""
        error: BaseException | None = None if task.cancelled() else task.exception()
        if error is None and not self._draining:
            error = Ended(task.get_name())
        if error is None:
            return
        if self.failure is not None:
            _log.warning("failed_too", task=task.get_name(), error=f"{type(error).__name__}: {error}")
            return
        self.failure = error
        self._on_failure()

    def _ask(self, task: _Task) -> None:
        if task.running.done():
            return
        if task.stop is None:
            task.running.cancel()
            return
        try:
            task.stop()
        except Exception:  # noqa: BLE001 - whatever it is, the others are drained
            _log.exception("stop_failed", task=task.name)
            task.running.cancel()

    async def _ended(self, by_s: float, cancelled: list[_Task]) -> None:
        """Wait until nothing runs or it is `by_s`. A library may take a cancellation for its own, and go on: those of
        `cancelled` are cancelled again and again.
        """
        loop = asyncio.get_running_loop()
        while (running := self._running()) and (left_s := by_s - loop.time()) > 0:
            await asyncio.wait([task.running for task in running], timeout=min(left_s, AGAIN_S))
            for task in cancelled:
                task.running.cancel()  # of one that has ended this is nothing

    def _running(self) -> list[_Task]:
        return [task for task in self._tasks if not task.running.done()]
