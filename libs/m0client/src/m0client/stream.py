"""Streams over WebSocket that come back by themselves and resume where they stopped."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from websockets.asyncio.client import connect as _async_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.sync.client import connect as _sync_connect

from m0client.errors import TransportError
from m0client.subscription import Event, Subscription

MAX_FRAME_BYTES = 64 << 20
FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 10.0


class Socket(Protocol):
    """What a sync stream needs of a connection; `recv` raises ConnectionClosed or OSError when it is lost."""

    def send(self, message: str) -> None: ...

    def recv(self) -> str | bytes: ...


class AsyncSocket(Protocol):
    """As Socket, for asyncio."""

    async def send(self, message: str) -> None: ...

    async def recv(self) -> str | bytes: ...


OnRetry = Callable[[Exception, float], None]
"""Told what broke a connection and how many seconds the stream waits before the next."""
Connect = Callable[[str], AbstractContextManager[Socket]]
AsyncConnect = Callable[[str], AbstractAsyncContextManager[AsyncSocket]]


def websocket(url: str) -> AbstractContextManager[Socket]:
    """The default connection of sync streams."""
    return _sync_connect(url, max_size=MAX_FRAME_BYTES, compression=None)


def async_websocket(url: str) -> AbstractAsyncContextManager[AsyncSocket]:
    """The default connection of asyncio streams."""
    return _async_connect(url, max_size=MAX_FRAME_BYTES, compression=None)


class _Retry:
    """How long to wait before the next connection: doubling with jitter, from the start again after any frame."""

    def __init__(self, reconnect: bool, on_retry: OnRetry | None) -> None:
        self._reconnect = reconnect
        self._on_retry = on_retry
        self._delay = FIRST_DELAY_S

    def worked(self) -> None:
        self._delay = FIRST_DELAY_S

    def after(self, url: str, error: Exception) -> float:
        """Seconds to wait; raises TransportError when another attempt would not help or is not wanted."""
        refused = isinstance(error, InvalidStatus) and 400 <= error.response.status_code < 500
        if isinstance(error, InvalidStatus) and error.response.status_code == 429:
            refused = False
        if not self._reconnect or refused or isinstance(error, InvalidURI):
            raise TransportError(f"realtime server {url}: {error}") from error
        delay = self._delay * random.uniform(0.5, 1.0)
        self._delay = min(LONGEST_DELAY_S, self._delay * 2)
        if self._on_retry is not None:
            self._on_retry(error, delay)
        return delay


_LOST = (ConnectionClosed, InvalidHandshake, InvalidURI, OSError, TimeoutError, EOFError)


def stream(
    url: str,
    subscription: Subscription,
    connect: Connect,
    *,
    reconnect: bool = True,
    on_retry: OnRetry | None = None,
) -> Iterator[Event]:
    """Events of `subscription`, for ever or until the connection is lost and `reconnect` is off."""
    retry = _Retry(reconnect, on_retry)
    while True:
        try:
            with connect(url) as socket:
                socket.send(subscription.request())
                while True:
                    events = subscription.receive(socket.recv())
                    retry.worked()
                    yield from events
        except _LOST as error:
            time.sleep(retry.after(url, error))


async def stream_async(
    url: str,
    subscription: Subscription,
    connect: AsyncConnect,
    *,
    reconnect: bool = True,
    on_retry: OnRetry | None = None,
) -> AsyncIterator[Event]:
    """As `stream`, for asyncio."""
    retry = _Retry(reconnect, on_retry)
    while True:
        try:
            async with connect(url) as socket:
                await socket.send(subscription.request())
                while True:
                    events = subscription.receive(await socket.recv())
                    retry.worked()
                    for event in events:
                        yield event
        except _LOST as error:
            await asyncio.sleep(retry.after(url, error))
