"""Running loops in tests, and a core that repeats what it reads."""

import asyncio
import contextlib
import time
from collections import Counter

from m0common.errors import DeadLetterError, Unavailable
from m0common.ids import Lane
from m0common.messages import Manifest
from m0common.stream.core import Cut, LaneReport, Letter
from m0common.stream.records import Produce

ZERO = bytes(32)


@contextlib.asynccontextmanager
async def running(*loops):
    """Loops at work; stopped in the end, and killed when the test fails."""
    tasks = [asyncio.create_task(loop.run()) for loop in loops]
    try:
        yield tasks
        for loop in loops:
            loop.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def eventually(condition, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)


async def answered(ask):
    """What a node that was stopped answers in the end: for a while the cluster may not have let it in again."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(0.2)


class Echo:
    """Says every record again. Of its words `cut` saves the lane, `heavy` with 5 MB, `bad` is a letter, `bug` a bug."""

    stage = 2
    build = ZERO
    queries = None

    def __init__(self, source: str, sink: str, name: str = "echo") -> None:
        self.name = name
        self.input_topic = source
        self._sink = sink
        self.drops: Counter[tuple[str, str]] = Counter()
        self.held: set[int] = set()
        self.parked: str | None = None

    def feed(self, record, only=None):
        words = record.value.split()
        if b"bug" in words:
            raise RuntimeError("a stage with a bug")
        if b"bad" in words:
            yield Letter(record, DeadLetterError("bad", "it says so"))
            return
        size = 3_000_000 if b"huge" in words else 0
        yield Produce(self._sink, record.partition, record.key, record.value + b" " * size, record.headers)
        if b"cut" in words:
            yield self._cut(record.partition, [bytes(1_000_000)] * 5 if b"heavy" in words else [b"state"])

    def _cut(self, partition, values):
        def complete(first, end):
            place, held = (2, "echo", partition), (None, 0)
            return Manifest(*place, 0, 1, 1, None, ZERO, 1, 1, (), *held, 1, first, end, ZERO, ZERO, 0, 0)

        return Cut(Lane("echo", partition), 2, None, values, complete)

    def gather(self, manifest, found):
        return {}

    def no_life(self, manifest):
        return None

    def unsound(self, manifest, entities):
        return None

    def resume(self, partition, restored, begin, end, lost=()):
        self.held.add(partition)

    def trimmed(self, partition, begin):
        pass

    def forget(self, partition):
        self.held.discard(partition)

    def park(self, partition, reason, only=None):
        self.parked = reason
        return []

    def passes_over(self, partition):
        return []

    def loaded(self, load, found):
        return []

    def join(self, lane):
        pass

    def cuts(self, partition, behind):
        return []

    def reports(self):
        return [
            LaneReport(Lane("echo", partition), 1, 0, 0, 0, 0, 0, ZERO, False, self.parked)
            for partition in sorted(self.held)
        ]

    def answer(self, record):
        return ()

    def epochs_of(self, record):
        return ()

    def asides(self):
        return ()
