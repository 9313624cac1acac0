"""The four stages on one broker: what a test may do to them, and what they said."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable

import lanes_world as lanes
import msgspec
from loop_named import NamedBroker
from m0common.messages import BundlePiece, DeadLetter, HeaderMessage, Manifest
from m0common.settings import Stage
from m0common.stream.broker import TopicPartition
from m0common.stream.follow import read_to_end
from m0common.stream.loop import StageLoop
from m0common.stream.records import Produce, Record
from m0common.tasks import end_task
from m0common.topics import BUNDLES, BY_NAME, DLQ, HEADERS, MANIFESTS, RAW, TOPICS

NAMES = ("normalize", "feature", "model", "bundle")
QUICK = Stage(
    poll_timeout_ms=20,
    commit_interval_ms=50,
    provisional_interval_ms=20,
    checkpoint_interval_ms=300,
)
_header = msgspec.msgpack.Decoder(HeaderMessage).decode
_manifest = msgspec.msgpack.Decoder(Manifest).decode
_piece = msgspec.msgpack.Decoder(BundlePiece).decode
_letter = msgspec.msgpack.Decoder(DeadLetter).decode


def recent() -> int:
    """An epoch so near that a broker's own append times are within every horizon, eight of them before now."""
    return time.time_ns() // 1_000_000 // lanes.EPOCH_MS - 9


class Stages:
    """Every stage as a task that can be killed, stopped and started again, in several copies."""

    def __init__(self, world, heart=lanes.HEART, settings: Stage = QUICK) -> None:
        self.world = world
        self.broker = NamedBroker(world.broker, world.prefix)
        self.heart = heart
        self.settings = settings
        self.first = recent()
        self.loops: dict[str, StageLoop] = {}
        self.tasks: dict[str, asyncio.Task] = {}

    async def __aenter__(self):
        await self.broker.create_topics(TOPICS, lanes.PARTITIONS)
        return self

    async def __aexit__(self, *_):
        for name in list(self.tasks):
            await self.kill(name)
        await self.world.end()

    # --- processes ---------------------------------------------------------------------------------------------------

    def start(self, *names: str, broker=None, settings: Stage | None = None, ahead_max: int = 8, heart=None) -> None:
        """`feature` is a stage, `feature:2` a second copy of it; another heart's are a group of their own."""
        made = heart or self.heart
        for name in names or NAMES:
            stage = name.partition(":")[0]
            core = made.bundle(ahead_max) if stage == "bundle" else getattr(made, stage)()
            group = stage if heart is None else f"{stage}-{made.build.hex()[:8]}"
            loop = StageLoop(core, broker or self.broker, settings or self.settings, group=group, member=name)
            self.loops[name] = loop
            self.tasks[name] = asyncio.create_task(loop.run())

    async def kill(self, name: str) -> None:
        """As kill -9: nothing is finished."""
        task = self.tasks.pop(name)
        await end_task(task)
        with contextlib.suppress(asyncio.CancelledError, Exception):
            task.result()

    async def stop(self, *names: str) -> None:
        for name in names:
            self.loops[name].stop()
        for name in names:
            await asyncio.wait_for(self.tasks.pop(name), 20)

    def ready(self) -> bool:
        return all(self.loops[name].ready() is None for name in self.tasks)

    def reports(self, name: str):
        return self.loops[name]._core.reports()

    # --- the log -----------------------------------------------------------------------------------------------------

    async def write(self, records: Iterable[Record]) -> None:
        producer = self.broker.producer()
        await producer.start()
        await producer.send([Produce(r.topic, r.partition, r.key, r.value) for r in records])
        await producer.stop()

    async def read(self, topic: str) -> list[Record]:
        """All of a topic, partition by partition."""
        records = [record async for batch in read_to_end(self.broker, topic) for record in batch]
        return sorted(records, key=lambda record: (record.partition, record.offset))

    async def expected(self, without: Iterable[Record] = ()) -> dict[tuple[str, int], bytes]:
        """What a pipeline says of what is in the log."""
        skipped = {(record.partition, record.offset) for record in without}
        return lanes.headers(lanes.play(r for r in await self.read(RAW.name) if (r.partition, r.offset) not in skipped))

    async def messages(self) -> dict[int, HeaderMessage]:
        """Header messages by epoch; two different ones of an epoch are a failure."""
        found: dict[int, HeaderMessage] = {}
        for record in await self.read(HEADERS.name):
            message = _header(record.value)
            assert found.setdefault(message.epoch_id, message) == message
        return found

    async def headers(self) -> dict[tuple[str, int], bytes]:
        return {(m.catalog, epoch): m.header for epoch, m in (await self.messages()).items()}

    async def leaves(self) -> dict[int, tuple[bytes, ...]]:
        """The leaves of each epoch."""
        pieces = [(r.value, _piece(r.value)) for r in await self.read(BUNDLES.name)]
        by_hash = {hashlib.sha256(raw).digest(): piece.leaves for raw, piece in pieces}
        return {
            epoch: tuple(leaf for piece in message.pieces for leaf in by_hash[piece])
            for epoch, message in (await self.messages()).items()
        }

    async def manifests(self, stage: int) -> list[Manifest]:
        found = [_manifest(record.value) for record in await self.read(MANIFESTS.name)]
        return [manifest for manifest in found if manifest.stage == stage]

    async def letters(self) -> list[DeadLetter]:
        return [_letter(record.value) for record in await self.read(DLQ.name)]

    async def truncate(self, topic: str, partition: int, before: int) -> None:
        await self.broker.delete_before({TopicPartition(topic, partition): before})

    async def recreate(self, topic: str) -> None:
        """Delete a topic and create it again, empty."""
        await self.world.delete(self.broker.name(topic))
        await self.broker.create_topics([BY_NAME[topic]], lanes.PARTITIONS)

    async def roots(self, partition: int, epoch_id: int) -> tuple[list[bytes], int]:
        """What a rebase to an epoch names: the digests of stages 1 to 3, and the raw offset behind its marker."""
        known = [m for stage in (1, 2, 3) for m in await self.manifests(stage)]
        at = {m.stage: m for m in known if (m.partition, m.epoch_id, m.life) == (partition, epoch_id, 0)}
        return [at[stage].digest for stage in (1, 2, 3)], at[1].input_offset + 1

    async def until(self, condition: Callable[[], bool | Awaitable[bool]], within_s: float = 60.0) -> None:
        deadline = time.monotonic() + within_s
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            assert time.monotonic() < deadline, f"it did not come true: {self.notes()}\n{self.world.complaints()}"
            await asyncio.sleep(0.02 if self.world.kind == "memory" else 0.1)

    def notes(self) -> dict[str, str | None]:
        return {
            name: _end(task) or self.loops[name].notes() or self.loops[name].ready()
            for name, task in self.tasks.items()
        }

    async def until_said(self, expected, within_s: float = 60.0) -> None:
        async def said() -> bool:
            return await self.headers() == expected

        await self.until(said, within_s)

    async def until_closed(self, epoch_id: int, within_s: float = 60.0) -> None:
        async def closed() -> bool:
            return epoch_id in await self.messages()

        await self.until(closed, within_s)


def _end(task: asyncio.Task) -> str | None:
    """That a stage runs no longer, and of what it ended."""
    if not task.done():
        return None
    return "has ended: cancelled" if task.cancelled() else f"has ended: {task.exception()!r}"
