"""Calls into aiokafka with a time-out; its errors become Unavailable."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from m0common.errors import Unavailable

T = TypeVar("T")

AWAY = (KafkaError, OSError, KeyError)
"""What aiokafka raises while a broker is away. A KeyError is its slip: of two requests that run out of time at once on
one connection, the first closes it and the second looks for it among those that are open.
"""


async def call(what: str, timeout_ms: int, awaitable: Awaitable[T]) -> T:
    """The result of `awaitable`. Raises Unavailable, saying what was wanted, on an error or after `timeout_ms`."""
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            return await awaitable
    except TimeoutError as error:
        raise Unavailable(f"{what}: Kafka did not answer within {timeout_ms} ms") from error
    except AWAY as error:
        raise Unavailable(f"{what}: {describe(error)}") from error
    except AssertionError as error:
        # aiokafka asserts that it knows a broker; a node that the cluster has not let back in yet names none
        raise Unavailable(f"{what}: the node that answers knows no broker ({describe(error)})") from error


def describe(error: BaseException) -> str:
    """An error of aiokafka in a few words."""
    if isinstance(error, KeyError):
        return "a request was not answered in time on a connection that is closed already"
    text = str(error)
    name = type(error).__name__
    return text if name in text else f"{name}: {text}" if text else name
