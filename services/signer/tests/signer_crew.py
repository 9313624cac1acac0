"""Workers for tests: in this process, or real ones with the tests' own domain."""

import asyncio
import io
import sys
from pathlib import Path

from m0_signer.workers.link import WorkerLost, launch_process
from m0_signer.workers.wire import LENGTH, asked, decode_answer, frame
from m0_signer.workers.work import Work
from signer_log import HEART

TOY = (sys.executable, str(Path(__file__).with_name("toy_worker.py")))


class MemoryLink:
    """A worker that answers at once; what is said goes through its frames all the same."""

    def __init__(self, heart=HEART):
        self.work = Work(lambda _deployment: heart)
        self.said = asyncio.Queue()

    def send(self, message):
        for whole in asked(io.BytesIO(frame(message))):
            for answer in self.work.answer(whole):
                self.said.put_nowait(decode_answer(frame(answer)[LENGTH.size :]))

    async def flushed(self):
        pass

    async def receive(self):
        said = await self.said.get()
        if isinstance(said, WorkerLost):
            raise said
        return said

    def die(self):
        """As if it were killed; what it has said already is still heard."""
        self.said.put_nowait(WorkerLost("killed by the test"))

    async def stop(self):
        pass


async def in_memory(heart=HEART):
    return MemoryLink(heart)


async def toy_process():
    return await launch_process(TOY)
