"""What a composition root is given: settings, clock, status, and where to hand in dependencies and tasks."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import NoReturn, TypeVar

from m0common.clock import Clock
from m0common.http import Status
from m0common.process.tasks import Run, Stop, Tasks
from m0common.settings import Settings
from m0common.side import SideTasks
from m0common.telemetry.logs import logger

CLOSE_S = 2.0
"""So much longer than the grace period closing what was opened may take."""
TURN_S = 0.1
"""So long each dependency has at least: one that hangs takes nothing from those that are closed behind it."""
SPARE_S = 1.0
"""Whoever has not ended so long after that never will: it hangs where no cancellation reaches it."""

T = TypeVar("T")

EndsWithin = Callable[[float], None]

_log = logger(__name__)


class Process:
    """One process: opens what it stands on, runs its tasks, and closes everything in reverse order.

    Readiness says what is waited for until `compose` has returned, and that it is stopping from the first signal on.
    """

    def __init__(
        self, name: str, settings: Settings, clock: Clock, status: Status | None = None, side: SideTasks | None = None
    ) -> None:
        self.name = name
        self.settings = settings
        self.clock = clock
        self.status = status or Status(name)
        self._tasks = Tasks(self.stop, side)
        self._opened = contextlib.AsyncExitStack()
        self._composing: asyncio.Timeout | None = None
        self._over = asyncio.Event()
        self._ends_within: EndsWithin = lambda _: None
        self._closed_by_s = 0.0
        self._phase: str | None = "starting"
        self.status.ready["process"] = lambda: self._phase
        self.status.notes["side tasks"] = self._tasks.notes

    async def enter(self, name: str, manager: AbstractAsyncContextManager[T]) -> T:
        """Open a dependency, closed again at the end; what it raises ends the process."""
        with self.waits(name):
            opened = await manager.__aenter__()
        self.closes(name, lambda: manager.__aexit__(None, None, None))
        return opened

    def keep(self, manager: AbstractContextManager[T]) -> T:
        """Open what neither waits nor has to be waited for, as a file; closed again at the end."""
        return self._opened.enter_context(manager)

    def closes(self, name: str, close: Callable[[], Awaitable[object]]) -> None:
        """Call `close` at the end, as if it were a dependency opened now."""
        self._opened.push_async_callback(self._close, name, close)

    @contextlib.contextmanager
    def waits(self, what: str) -> Iterator[None]:
        """Say in readiness that the start waits for `what`, as long as the block lasts."""
        before = self._phase
        if before is not None:
            self._phase = f"starting: waits for {what}"
        try:
            yield
        finally:
            self._phase = before

    def task(self, name: str, run: Run, stop: Stop | None = None) -> None:
        """Begin a task whose failure ends the process; see Tasks.task."""
        self._tasks.task(name, run, stop)

    def side(self, name: str, run: Run) -> None:
        """Begin a task that may fail alone; see Tasks.side."""
        self._tasks.side(name, run)

    async def alone(self, name: str, run: Run, through: tuple[type[Exception], ...] = ()) -> NoReturn:
        """Run within a task what may fail alone, until cancelled or `through` is raised; see SideTasks.run."""
        await self._tasks.alone(name, run, through)

    def stop(self) -> None:
        """End, as after a signal: `live` drains and returns."""
        if self._over.is_set():
            return
        self._over.set()
        self._ends_within(self.settings.drain_ms / 1000 + CLOSE_S + SPARE_S)
        if self._composing is not None:
            self._composing.reschedule(asyncio.get_running_loop().time())

    async def live(self, compose: "Compose", ends_within: EndsWithin | None = None) -> None:
        """Compose, then run until `stop`, until cancelled, or until what may not fail has failed; then end everything.

        `ends_within` is called when the end begins, with the seconds that it may take at most. Raises what `compose` or
        the first task to fail raised.
        """
        self._ends_within = ends_within or self._ends_within
        try:
            await self._compose(compose)
            await self._over.wait()
        finally:
            self.stop()
            self._phase = "stopping"
            await self._end()
        if self._tasks.failure is not None:
            raise self._tasks.failure

    async def _compose(self, compose: "Compose") -> None:
        composing = asyncio.timeout(None)
        self._composing = composing
        try:
            async with composing:
                await compose(self)
        except TimeoutError:
            if not composing.expired():
                raise  # its own
        finally:
            self._composing = None
        if not self._over.is_set():
            self._phase = None
            _log.info("started", tasks=self._tasks.main, may_fail_alone=self._tasks.beside)

    async def _end(self) -> None:
        grace_s = self.settings.drain_ms / 1000
        self._closed_by_s = asyncio.get_running_loop().time() + grace_s + CLOSE_S
        await self._tasks.drain(grace_s)
        await self._opened.aclose()

    async def _close(self, name: str, close: Callable[[], Awaitable[object]]) -> None:
        """Close one dependency; whatever becomes of it, the next one's turn comes."""
        by_s = max(self._closed_by_s, asyncio.get_running_loop().time() + TURN_S)
        try:
            async with asyncio.timeout_at(by_s):
                await close()
        except TimeoutError:
            _log.warning("not_closed", what=name, reason="it was not done in time")
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are closed as well
            _log.warning("not_closed", what=name, reason=f"{type(error).__name__}: {error}")


Compose = Callable[[Process], Awaitable[None]]
"""A composition root: opens what a process stands on, says what its status is, begins its tasks, and returns."""
