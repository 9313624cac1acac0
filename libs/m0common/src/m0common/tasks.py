"""Ending a task for certain."""

import asyncio
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
