"""Stopping a client of aiokafka for certain."""

import asyncio
import contextlib
from typing import Any

from m0common.errors import Unavailable
from m0common.stream.kafka_call import call
from m0common.tasks import leave_behind

CONSUMER_MS = 3000
"""A consumer that has not stopped by then is left behind."""


async def abandon(inner: Any) -> None:  # aiokafka is untyped
    """Stop a producer; what it still holds is given up after a moment."""
    with contextlib.suppress(Unavailable):
        await call("stop the producer", 2000, inner.stop())
        return
    # stop() waits for deliveries that will not come: end its background task and connections all the same
    with contextlib.suppress(Unavailable, asyncio.CancelledError):
        await call("stop the sender", 1000, inner._sender.close())  # noqa: SLF001 - no public way
    with contextlib.suppress(Unavailable):
        await call("close connections", 1000, inner.client.close())


async def abandon_consumer(inner: Any) -> None:  # aiokafka is untyped
    """Stop a consumer, or leave it behind after CONSUMER_MS.

    Where a broker is away, `stop` ends with the CancelledError of a fetch that it cancelled itself, and elsewhere it
    takes a cancellation of ours for one of its own; in a task that is its alone neither is mistaken.
    """
    stopping = asyncio.ensure_future(_stopped(inner))
    try:
        await asyncio.wait([stopping], timeout=CONSUMER_MS / 1000)
        if stopping.done() and not stopping.cancelled():
            with contextlib.suppress(Unavailable):
                await call("stop the consumer", CONSUMER_MS, stopping)
    finally:
        leave_behind(stopping)


async def _stopped(inner: Any) -> None:
    try:
        await inner.stop()
    except asyncio.CancelledError:
        await inner._client.close()  # noqa: SLF001 - no public way, and `stop` has not come so far
        raise
