"""Stuck detection: a thread that logs all stacks and fails health when the event loop or the stage stands still."""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable

from m0common.telemetry.logs import logger

log = logger(__name__)

CHECKS_PER_LIMIT = 10


class Watchdog:
    """Watches two signs of life: the event loop turns, and whoever is watched calls `beat`.

    `problem` is a health check: None, or one sentence. Once progress goes on, health recovers.
    """

    def __init__(self, name: str, stuck_after_ms: int, on_stuck: Callable[[], None] = lambda: None) -> None:
        self._name = name
        self._limit_s = stuck_after_ms / 1000
        self._on_stuck = on_stuck
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turned = self._beaten = time.monotonic()
        self._problem: str | None = None

    def start(self) -> None:
        """Watch from now on; call it inside the event loop."""
        self._loop = asyncio.get_running_loop()
        self._turned = self._beaten = time.monotonic()
        self._thread = threading.Thread(target=self._watch, name=f"watchdog-{self._name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def beat(self) -> None:
        """Progress was made, or there is a good reason for none (an outage, an empty topic)."""
        self._beaten = time.monotonic()

    def problem(self) -> str | None:
        """Health check: what is stuck."""
        return self._problem

    def _turn(self) -> None:
        self._turned = time.monotonic()

    def _watch(self) -> None:
        assert self._loop is not None
        while not self._stop.wait(self._limit_s / CHECKS_PER_LIMIT):
            try:
                self._loop.call_soon_threadsafe(self._turn)
            except RuntimeError:  # the loop is closed
                return
            now = time.monotonic()
            problem = None
            if now - self._turned > self._limit_s:
                problem = f"{self._name}: the event loop has been blocked for {now - self._turned:.0f} s"
            elif now - self._beaten > self._limit_s:
                problem = f"{self._name}: no progress for {now - self._beaten:.0f} s"
            if problem is not None and self._problem is None:
                log.error("stuck", problem=problem, stacks=self._stacks())
                self._on_stuck()
            elif problem is None and self._problem is not None:
                log.warning("unstuck", was=self._problem)
            self._problem = problem

    def _stacks(self) -> dict[str, list[str]]:
        """The stacks of all threads and tasks."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        stacks = {
            f"thread {names.get(ident, ident)}": traceback.format_stack(frame)
            for ident, frame in sys._current_frames().items()  # noqa: SLF001 - the documented way to see other threads
        }
        try:
            tasks = asyncio.all_tasks(self._loop)
        except RuntimeError:  # the set of tasks changed while it was read
            tasks = set()
        for task in tasks:
            stacks[f"task {task.get_name()}"] = [
                line for frame in task.get_stack() for line in traceback.format_stack(frame, 1)
            ]
        return stacks
