"""A TCP proxy between a client and a server, for tests and drills: it passes bytes on until it is cut.

async with Wire("127.0.0.1", postgres.port) as wire:
    wire.cut()       # connections stay open, nothing passes any more, as behind a firewall that forgot them
    wire.mend()      # new connections pass; those that were open stay dead
"""

import asyncio
import contextlib
from typing import Self

from m0common.tasks import end_task

CHUNK = 1 << 16


class Wire:
    """Listens on `port` of the loopback address, in front of `host`:`to_port`."""

    def __init__(self, host: str, to_port: int) -> None:
        self._to = host, to_port
        self._cut = False
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for pipe in list(self._pipes):
            await end_task(pipe)

    def cut(self) -> None:
        """From now on no byte passes, in either direction; nobody is told."""
        self._cut = True

    def mend(self) -> None:
        """Let new connections pass."""
        self._cut = False

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            await self._hold(writer)
            return
        there, back = await asyncio.open_connection(*self._to)
        for source, sink in ((reader, back), (there, writer)):
            pipe = asyncio.create_task(self._pass(source, sink))
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)

    async def _hold(self, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        task.add_done_callback(self._pipes.discard)
        try:
            await asyncio.Event().wait()
        finally:
            writer.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(CHUNK):
                    if self._cut:
                        await asyncio.Event().wait()
                    sink.write(data)
                    await sink.drain()
        finally:
            sink.close()
