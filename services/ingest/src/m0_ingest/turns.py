"""The loops that the parts of ingest run in: turn after turn, several side by side."""

import asyncio
from collections.abc import Awaitable, Callable

from m0common.tasks import end_tasks
from m0common.telemetry.logs import logger

_log = logger(__name__)

Turn = Callable[[], Awaitable[int]]
"""Does what is due; returns milliseconds until there may be more."""


async def take_turns(*turns: Turn) -> None:
    """Take turns of each until cancelled, or one of them raises: that is raised, and the others end."""
    tasks = [asyncio.create_task(_again_and_again(turn)) for turn in turns]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        await end_tasks(tasks, lambda error: _log.warning("ended_with", reason=str(error)))


async def _again_and_again(turn: Turn) -> None:
    while True:
        wait_ms = await turn()
        await asyncio.sleep(wait_ms / 1000)
