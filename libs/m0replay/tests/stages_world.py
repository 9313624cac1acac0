"""The live stages over a recorded log: they go on with what others left in it."""

import asyncio
import contextlib
from collections.abc import Iterable

import lanes_world as world
import msgspec
from m0common.messages import DeadLetter, HeaderMessage
from m0common.settings import Stage
from m0common.stream.loop import StageLoop
from m0common.stream.records import Produce, Record
from m0common.topics import BY_NAME, DLQ, HEADERS, RAW
from recorded_world import Recorded

QUICK = Stage(poll_timeout_ms=5, commit_interval_ms=20, checkpoint_interval_ms=100)
_header = msgspec.msgpack.Decoder(HeaderMessage).decode
_letter = msgspec.msgpack.Decoder(DeadLetter).decode


class Live:
    """A recorded log, and the four stages as their services run them."""

    def __init__(self, recorded: Recorded, log: world.World) -> None:
        self.broker, self.clock = recorded.broker, recorded.clock
        self.world = log
        self._tasks: list[asyncio.Task] = []
        self.loops: list[StageLoop] = []

    def start(self, heart) -> None:
        self.loops = [
            StageLoop(core, self.broker, QUICK, member=core.name, group=f"{core.name}-{heart.build.hex()[:8]}")
            for core in (heart.normalize(), heart.feature(), heart.model(), heart.bundle())
        ]
        self._tasks = [asyncio.create_task(loop.run()) for loop in self.loops]

    async def stop(self) -> None:
        for loop in self.loops:
            loop.stop()
        for task in self._tasks:
            await task
        self._tasks = []

    async def kill(self) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks = []

    def write(self, records: Iterable[Record]) -> None:
        for record in records:
            self.clock.advance(max(0, record.append_ms - self.clock.now_ms()))
            self.broker.append([Produce(RAW.name, record.partition, record.key, record.value)])

    async def epochs(self, *indexes: int) -> HeaderMessage:
        """Let epochs happen, counted from the first; the header of the last of them."""
        # what stands in the log by now is not in the builder's numbering
        for partition in range(world.PARTITIONS):
            self.world._next[partition] = len(self.broker.topic(RAW.name).logs[partition].records)
        since = len(self.world.records)
        world.go_on(self.world, indexes)
        self.write(self.world.records[since:])
        async with asyncio.timeout(60):
            while self.world.first + max(indexes) not in self.messages():  # noqa: ASYNC110 - it stands in a topic
                await asyncio.sleep(0.01)
        return self.messages()[self.world.first + max(indexes)]

    def messages(self) -> dict[int, HeaderMessage]:
        """Headers by epoch; two different ones of an epoch are a failure."""
        found: dict[int, HeaderMessage] = {}
        for record in self._log(HEADERS.name):
            message = _header(record.value)
            assert found.setdefault(message.epoch_id, message).header == message.header
        return found

    def letters(self) -> list[DeadLetter]:
        return [_letter(record.value) for record in self._log(DLQ.name)]

    async def recreate(self, topic: str) -> None:
        """Delete a topic and create it again, empty."""
        del self.broker.logs.topics[topic]
        await self.broker.create_topics([BY_NAME[topic]], world.PARTITIONS)

    def _log(self, topic: str) -> list[Record]:
        return [r for p in range(world.PARTITIONS) for r in self.broker.log(topic, p)]
