"""A transaction pooler in a few lines: clients share server connections, each for one transaction at a time."""

import asyncio
import contextlib
import struct

SSL_REQUEST = struct.pack("!II", 8, 80877103)
READY, IDLE, BYE = b"Z", b"I", b"X"


class PoolingProxy:
    """Listens on `port`, for the Postgres at `host:server_port`, which must let everybody in without a password."""

    def __init__(self, host, server_port, size=3):
        self._server = host, server_port
        self._idle = asyncio.LifoQueue()
        self._size = size
        self._opened = 0
        self._startup = self._greeting = None
        self._clients = set()
        self.states = set()
        """In which servers were when they had answered: `I` for idle, `T` for in a transaction."""

    async def __aenter__(self):
        self._listener = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._listener.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        while not self._idle.empty():
            self._idle.get_nowait()[1].close()

    async def _client(self, reader, writer):
        task = asyncio.current_task()
        self._clients.add(task)
        held = None
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                startup = await self._startup_of(reader, writer)
                self._startup = self._startup or startup
                held = await self._lend()
                writer.write(self._greeting)
                self._idle.put_nowait(held)
                held = None
                while True:
                    kind, whole = await message(reader)
                    if kind == BYE:
                        break
                    if held is None:
                        held = await self._lend()
                    held[1].write(whole)
                    if kind in b"QS":  # a query or a sync: the server answers up to "ready"
                        status = await answer(held[0], writer)
                        self.states.add(status)
                        if status == IDLE:
                            self._idle.put_nowait(held)
                            held = None
        finally:
            self._clients.discard(task)
            if held is not None:  # it left in the middle of a transaction
                held[1].close()
                self._opened -= 1
            writer.close()

    async def _startup_of(self, reader, writer):
        while True:
            head = await reader.readexactly(4)
            whole = head + await reader.readexactly(struct.unpack("!I", head)[0] - 4)
            if whole != SSL_REQUEST:
                return whole
            writer.write(b"N")

    async def _lend(self):
        if self._idle.empty() and self._opened < self._size:
            self._opened += 1
            reader, writer = await asyncio.open_connection(*self._server)
            writer.write(self._startup)
            greeting = b""
            while True:
                kind, whole = await message(reader)
                greeting += whole
                if kind == READY:
                    break
            self._greeting = self._greeting or greeting
            return reader, writer
        return await self._idle.get()


async def message(reader):
    """One message of the protocol: its kind, and the whole of it."""
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


async def answer(reader, writer):
    """Pass on what the server says up to "ready"; the state that it is in then."""
    while True:
        kind, whole = await message(reader)
        writer.write(whole)
        if kind == READY:
            await writer.drain()
            return whole[5:6]
