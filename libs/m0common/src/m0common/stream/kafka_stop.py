"""Stopping a producer of aiokafka for certain."""

import asyncio
import contextlib
from typing import Any

from m0common.errors import Unavailable
from m0common.stream.kafka_call import call


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
