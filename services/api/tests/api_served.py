"""The application in process, on a database of its own choice."""

import asyncio
import contextlib

from httpx2 import ASGITransport, AsyncClient
from m0_api.service import Api
from m0common.clock import SystemClock
from m0common.process import Process


@contextlib.asynccontextmanager
async def served(settings, clock=None):
    """Yields the application and a client of it."""
    process, composed = Process("api", settings, clock or SystemClock()), asyncio.Event()
    api = Api(process)

    async def compose(process):
        await api.begin(process)
        composed.set()

    task = asyncio.create_task(process.live(compose))
    try:
        await asyncio.wait_for(composed.wait(), 60)
        async with AsyncClient(transport=ASGITransport(api.app), base_url="http://api") as client:
            yield api.app, client
    finally:
        process.stop()
        await task
