"""Running parts together and waiting for events, so that a cancellation is never lost.

On Python 3.11 `asyncio.wait_for`, which psycopg's pool also uses, can swallow a cancellation that arrives together with
the result; a task group would then wait for ever for a part that goes on. Here a part is cancelled until it ends.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

AGAIN_S = 0.1


async def together(parts: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    """Run all parts until one fails, one returns, or this is cancelled; then stop the others.

    Raises what the first part to end raised.
    """
    tasks = [asyncio.create_task(part, name=name) for name, part in parts.items()]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        while running := [task for task in tasks if not task.done()]:
            for task in running:
                task.cancel()
            await asyncio.wait(running, timeout=AGAIN_S)
    for task in ended:
        task.result()


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Wait for `event` and clear it; False when it does not happen in time."""
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True


async def after(event: asyncio.Event, grace_s: float) -> None:
    """A part that ends `grace_s` after `event` is set."""
    await event.wait()
    await asyncio.sleep(grace_s)
