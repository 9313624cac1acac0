"""A small stage for loop tests: it adds up what it reads. The reference is the core alone, without any crash."""

import asyncio
import contextlib
import itertools
import time

import msgspec
from m0common.errors import DeadLetterError
from m0common.messages import Checkpoint, DeadLetter, LaneMessage, Marker, MarketClosed, encode
from m0common.settings import Stage
from m0common.stream.core import CHECKPOINT_TOPIC, LaneCore
from m0common.stream.entities import Entities
from m0common.stream.loop import StageLoop
from m0common.stream.records import Produce, Record
from m0common.topics import CHECKPOINTS, DLQ

ZERO = bytes(32)
_stages = itertools.count(int(time.time()) % 100_000 * 100)


class Adder:
    """Emits the running total of the numbers it reads; `bad` is a dead letter, `bug` a mistake in the code."""

    def __init__(self, lane):
        self.entities = Entities()
        self.total = 0

    def step(self, body):
        if isinstance(body, Marker):
            return [body]
        if body.market_id == "bad":
            raise DeadLetterError("bad_number", "this is not a number")
        if body.market_id == "bug":
            raise ZeroDivisionError
        self.total += int(body.market_id)
        return [MarketClosed(str(self.total), body.reason), MarketClosed(str(-self.total), body.reason)]

    def settle(self):
        self.entities.put("total", str(self.total).encode())

    def resume(self):
        self.total = int(self.entities.get("total") or 0)


def marker(epoch):
    return Marker(epoch, epoch * 1000, epoch * 1000 + 1000, 1, ZERO, 1, ZERO, ZERO, ())


def number(n):
    return MarketClosed(str(n), "")


class Toy:
    """A stage with its topics in a world."""

    def __init__(self, world, **settings):
        self.world = world
        self.stage = next(_stages)
        self.settings = Stage(
            **{
                "batch_records": 7,
                "poll_timeout_ms": 100,
                "commit_interval_ms": 0,
                "drain_grace_ms": 300,
                "stuck_after_ms": 20_000,
                **settings,
            }
        )
        self.sent = {}
        self.source = self.sink = ""

    async def create(self, partitions=2):
        self.source = await self.world.topic("in", partitions)
        self.sink = await self.world.topic("out", partitions)
        await self.world.broker.create_topics([CHECKPOINTS, DLQ], 3, 3)
        return self

    def core(self, factory=Adder, release=ZERO):
        return LaneCore(self.world.name("toy"), self.stage, self.source, self.sink, factory, release)

    def loop(self, *, core=None, broker=None, member="one", group=None, **settings):
        return StageLoop(
            core or self.core(),
            broker or self.world.broker,
            self.settings.model_copy(update=settings),
            group=group or self.world.name("group"),
            member=member and self.world.name(member),
        )

    def message(self, catalog, partition, body, seq=None):
        lane = (catalog, partition)
        self.sent[lane] = seq or self.sent.get(lane, 0) + 1
        value = encode(LaneMessage(catalog, partition, self.sent[lane], 0, body))
        return Produce(self.source, partition, catalog.encode(), value, (("origin", b"test"),))

    async def feed(self, *bodies, catalog="a", partition=0):
        await self.world.send(*(self.message(catalog, partition, body) for body in bodies))

    async def feed_epochs(self, epochs, per_epoch=10, catalogs=("a", "b"), partitions=(0, 1)):
        """Interleaved lanes, each with a marker at the end of every epoch."""
        messages = []
        for epoch in epochs:
            for n in range(per_epoch):
                messages += [self.message(c, p, number(n + epoch)) for p in partitions for c in catalogs]
            messages += [self.message(c, p, marker(epoch)) for p in partitions for c in catalogs]
        await self.world.send(*messages)

    async def expected(self):
        """What the core alone makes of the input, per partition."""
        core = self.core()
        outputs = {}
        for record in await self.world.read(self.source):
            with contextlib.suppress(DeadLetterError):
                for output in core.feed(record):
                    if isinstance(output, Produce):
                        outputs.setdefault(output.partition, []).append(output.value)
        return outputs

    async def written(self):
        return await self.world.read(self.sink)

    async def check(self, *, repeats=None):
        """Nothing is lost or out of order; what is repeated is repeated byte for byte."""
        expected = await self.expected()
        records = await self.written()
        for partition, values in expected.items():
            mine = [r for r in records if r.partition == partition]
            first = take(mine)
            assert [r.value for r in first] == values
        assert {r.partition for r in records} <= expected.keys()
        total = sum(map(len, expected.values()))
        if repeats is not None:
            assert (len(records) > total) == repeats, f"{len(records)} written, {total} expected"

    async def complete(self):
        expected = await self.expected()
        records = await self.written()
        return all(
            {lane_seq(r.value) for r in records if r.partition == p} >= {lane_seq(v) for v in values}
            for p, values in expected.items()
        )

    async def letters(self):
        found = [msgspec.msgpack.decode(r.value, type=DeadLetter) for r in await self.world.read(DLQ.name)]
        return [letter for letter in found if letter.topic == self.source]

    async def checkpoints(self):
        found = [msgspec.msgpack.decode(r.value, type=Checkpoint) for r in await self.world.read(CHECKPOINT_TOPIC)]
        return [checkpoint for checkpoint in found if checkpoint.stage == self.stage]

    async def markers(self):
        found = [msgspec.msgpack.decode(r.value, type=LaneMessage).body for r in take(await self.written())]
        return [body for body in found if isinstance(body, Marker)]

    def seen_all(self, loop, ends):
        return all(positions(loop).get(p, 0) >= end for p, end in ends.items())

    async def ends(self):
        records = await self.world.read(self.source)
        return {p: max(r.offset for r in records if r.partition == p) + 1 for p in {r.partition for r in records}}


def positions(*loops):
    """Partition to the offset that one of the loops goes on at."""
    return {where.partition: offset for loop in loops for where, offset in loop._positions.items()}


def lane_seq(value):
    message = msgspec.msgpack.decode(value, type=LaneMessage)
    return message.catalog, message.seq


def take(records: list[Record]) -> list[Record]:
    """What the next stage takes: the next number of each lane, repeats skipped, a hole is an error."""
    last, bytes_of, taken = {}, {}, []
    for record in records:
        catalog, seq = lane_seq(record.value)
        assert seq <= last.get(catalog, 0) + 1, f"hole in {catalog} at {seq}"
        if seq == last.get(catalog, 0) + 1:
            last[catalog] = seq
            bytes_of[catalog, seq] = record.value
            taken.append(record)
        else:
            assert bytes_of[catalog, seq] == record.value, "a repeat that differs"
    return taken


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


async def eventually(condition, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)


class Killed(BaseException):
    """The process was killed at this point."""


class Interceptor:
    """A broker that notes every write and commit, and kills its user before or after the n-th of them."""

    def __init__(self, broker, kill_at=None, *, after=False):
        self._broker = broker
        self._kill_at = kill_at
        self._after = after
        self.calls = []

    def __getattr__(self, name):
        return getattr(self._broker, name)

    async def call(self, kind, what, operation):
        number = len(self.calls)
        kill = number == self._kill_at
        if kill and not self._after:
            raise Killed
        await operation(what)
        self.calls.append((kind, what))
        if kill:
            raise Killed

    def producer(self):
        return _Watched(self._broker.producer(), "send", self)

    def consumer(self, **names):
        return _Watched(self._broker.consumer(**names), "commit", self)


class _Watched:
    def __init__(self, inner, method, owner):
        self._inner = inner

        async def call(what):
            kind = method
            if method == "send":
                kind = "checkpoint" if what[0].topic == CHECKPOINT_TOPIC else "output"
            await owner.call(kind, what, getattr(inner, method))

        setattr(self, method, call)

    def __getattr__(self, name):
        return getattr(self._inner, name)
