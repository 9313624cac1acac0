"""The port to one worker, and its process."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from m0common.errors import M0Error
from m0common.messages.codec import UNDECODABLE

from m0_signer.workers.wire import LENGTH, FromWorker, ToWorker, decode_answer, frame

COMMAND = (sys.executable, "-m", "m0_signer.workers")
STOP_S = 2.0
"""A worker whose input is closed has so long to end."""


class WorkerLost(M0Error):
    """A worker has ended by itself: what it had not handed over is computed again."""


class Link(Protocol):
    """One worker."""

    def send(self, message: ToWorker) -> None:
        """Say something to it; never blocks. What it takes in is bounded by who waits for its answers."""
        ...

    async def flushed(self) -> None:
        """Wait until the worker has taken in most of what was said. Raises WorkerLost."""
        ...

    async def receive(self) -> FromWorker:
        """The next thing it says. Raises WorkerLost."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...


Launch = Callable[[], Awaitable[Link]]
"""Starts a worker. Raises WorkerLost."""


class ProcessLink:
    """See Link."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._sink, self._source = process, process.stdin, process.stdout

    @property
    def pid(self) -> int:
        """The worker's process."""
        return self._process.pid

    def send(self, message: ToWorker) -> None:
        if not self._sink.is_closing():
            self._sink.write(frame(message))

    async def flushed(self) -> None:
        try:
            await self._sink.drain()
        except ConnectionError:
            raise await self._lost() from None

    async def receive(self) -> FromWorker:
        try:
            (length,) = LENGTH.unpack(await self._source.readexactly(LENGTH.size))
            return decode_answer(await self._source.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._lost() from None
        except UNDECODABLE as error:
            raise WorkerLost(f"worker {self.pid} speaks another language: {error}") from error

    async def _lost(self) -> WorkerLost:
        self._sink.close()
        code = await self._process.wait()
        return WorkerLost(f"worker {self.pid} ended with exit code {code}: its lanes begin again from what was saved")

    async def stop(self) -> None:
        self._sink.close()
        try:
            async with asyncio.timeout(STOP_S):
                # it may be about to say something that nobody wants any more
                while await self._source.read(1 << 16):
                    pass
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


async def launch_process(command: Sequence[str] = COMMAND) -> ProcessLink:
    """Start a worker of its own interpreter, which imports the heart and nothing that signs. Raises WorkerLost."""
    try:
        return ProcessLink(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE))
    except OSError as error:
        raise WorkerLost(f"no worker can be started: {error}") from error
