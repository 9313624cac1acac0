"""Ending a task for certain, or leaving it behind."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

AGAIN_S = 1.0
"""A task that has not ended so long after a cancellation is cancelled once more."""


async def end_task(task: asyncio.Task[Any], again_s: float = AGAIN_S) -> None:
    """Cancel a task and wait until it has ended. What it raised stays with the task.

    A library that closes its connections may take a cancellation for that of its own background task, and go on. Unlike
    `await task`, who waits here can be cancelled himself and notices.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=again_s)


async def end_tasks(tasks: Sequence[asyncio.Task[Any]], failed: Callable[[BaseException], None]) -> None:
    """Cancel those that still run together and wait until all have ended; `failed` hears of what they raise.

    Where who waits here is cancelled himself, as `end_task` does to work that takes its time to end, those that still
    run have been cancelled all the same and are left behind.
    """
    running = [task for task in tasks if not task.done()]
    try:
        await asyncio.gather(*map(end_task, running))
    finally:
        for task in running:
            leave_behind(task, failed)


_left: set[asyncio.Task[Any]] = set()
"""Nobody else holds them, and a task that nobody holds may vanish."""


def leave_behind(task: asyncio.Task[Any], failed: Callable[[BaseException], None] = lambda _: None) -> None:
    """Cancel a task and do not wait for it; `failed` hears of what it raises after all."""

    def ended(task: asyncio.Task[Any]) -> None:
        _left.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            failed(error)

    _left.add(task)
    task.add_done_callback(ended)
    task.cancel()
