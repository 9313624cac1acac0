"""Waiting for what wakes a part."""

import asyncio


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Wait for `event` and clear it; False when it does not happen in time."""
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
