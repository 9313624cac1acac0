"""A log as the live stages leave it: every stage run over a broker in memory, and what a pipeline says is final."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

import lanes_world as world
import msgspec
from m0common.canonical import BundleHeader
from m0common.clock import ManualClock
from m0common.messages import HeaderMessage, encode
from m0common.stream.broker import TopicPartition
from m0common.stream.core import Cut, Load, Output, Rewind, StageCore
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce, Record
from m0common.stream.restoring import load_state
from m0common.topics import BY_NAME, HEADERS, MANIFESTS, RAW, STATE, TOPICS
from m0lanes.stages import Heart
from m0replay.catalog_log import CatalogLog
from m0replay.rebasing import RebasePlan, plan_rebase

_header = msgspec.msgpack.Decoder(HeaderMessage).decode


class Log(Protocol):
    """A broker and the time it is."""

    broker: MemoryBroker
    clock: ManualClock


async def read_log(of: Log) -> CatalogLog:
    """What the log says of catalogs, read whole."""
    log = CatalogLog(of.broker, world.DEPLOYMENT, of.clock)
    await log.read()
    return log


async def planned(of: Log, lane: int, release: bytes | None = None, catalog: str = "coins", **options) -> RebasePlan:
    """What `m0 lane rebase` plans."""
    return await plan_rebase(of.broker, await read_log(of), catalog, lane, release, **options)


class CountingBroker(MemoryBroker):
    """Counts the records that its consumers are given, by topic."""

    def __init__(self, clock) -> None:
        super().__init__(clock)
        self.read: Counter[str] = Counter()

    def consumer(self, **options):
        consumer = super().consumer(**options)
        getmany = consumer.getmany

        async def counted(max_records, timeout_ms):
            records = await getmany(max_records, timeout_ms)
            self.read.update(record.topic for record in records)
            return records

        consumer.getmany = counted
        return consumer


class Recorded:
    """A raw log and what the stages said of it."""

    def __init__(self, heart: Heart = world.HEART) -> None:
        self.clock = ManualClock(world.BASE_MS)
        self.broker = CountingBroker(self.clock)
        self.heart = heart
        self.cores = (heart.normalize(), heart.feature(), heart.model(), heart.bundle())
        self._logs: dict[tuple[str, int], list[Record]] = {}
        """All that was ever written, also what is gone."""
        self._read: dict[tuple[str, int], int] = {}
        self.behind: set[int] = set()
        """The partitions of raw that nobody reads on in."""

    async def of(self, records: Iterable[Record]) -> "Recorded":
        await self.broker.create_topics(TOPICS, world.PARTITIONS)
        for record in records:
            self.clock.advance(record.append_ms - self.clock.now_ms())
            self.broker.append([Produce(RAW.name, record.partition, record.key, record.value)])
            await self._run_stages()
        return self

    async def _run_stages(self) -> None:
        """Every stage reads what is there, one after the other."""
        for core in self.cores:
            for partition in range(world.PARTITIONS):
                place = (core.input_topic, partition)
                log = self._written(*place)
                if core is self.cores[0] and partition in self.behind:
                    continue
                for at in range(self._read.get(place, 0), len(log)):
                    await self._take(core, core.feed(log[at]), log, at + 1)
                self._read[place] = len(log)

    def _written(self, topic: str, partition: int) -> list[Record]:
        known = self._logs.setdefault((topic, partition), [])
        more, _ = self.broker.logs.topic(topic).logs[partition].read(len(known), 1 << 62)
        known += more
        return known

    async def _take(self, core: StageCore, outputs: Iterable[Output], log: Sequence[Record], upto: int) -> None:
        rewinds: list[Rewind] = []
        for output in outputs:
            if isinstance(output, Load):
                found = await load_state(self.broker, output, core.gather)
                await self._take(core, core.loaded(output, found), log, upto)
            elif isinstance(output, Rewind):
                rewinds.append(output)
            else:
                self._write(output)
        for rewind in rewinds:
            for record in log[rewind.offset : upto]:
                await self._take(core, core.feed(record, rewind.lane), log, upto)
            core.join(rewind.lane)

    def _write(self, output: Output) -> None:
        if isinstance(output, Produce):
            self.broker.append([output])
        elif isinstance(output, Cut):
            topic, partition, key = STATE[output.stage].name, output.lane.partition, output.lane.catalog.encode()
            values = [Produce(topic, partition, key, value) for value in output.values]
            written = self.broker.append(values)[TopicPartition(topic, partition)]
            manifest = output.complete(written.first, written.end)
            self.broker.append([Produce(MANIFESTS.name, partition, key, encode(manifest))])

    async def lose(self, topic: str) -> None:
        """A topic is deleted and created again, empty."""
        del self.broker.logs.topics[topic]
        await self.broker.create_topics([BY_NAME[topic]], world.PARTITIONS)
        self._read = {place: at for place, at in self._read.items() if place[0] != topic}
        self._logs = {place: log for place, log in self._logs.items() if place[0] != topic}

    def lose_raw(self, partition: int) -> None:
        """Raw loses all of a partition, and whoever reads it finds that what comes next is gone."""
        end = len(self._written(RAW.name, partition))
        self.broker.truncate(RAW.name, partition, end)
        for cut in self.cores[0].park(partition, "what comes next is gone"):
            self._write(cut)
        self._read[RAW.name, partition] = end
        self.behind.discard(partition)

    def headers(self) -> dict[int, HeaderMessage]:
        found = [_header(r.value) for p in range(world.PARTITIONS) for r in self.broker.log(HEADERS.name, p)]
        return {message.epoch_id: message for message in found}

    async def final(self, catalog: str, epoch_id: int) -> tuple[bytes, bytes] | None:
        """What the pipeline says of an epoch."""
        message = self.headers().get(epoch_id)
        if message is None or message.catalog != catalog:
            return None
        header = BundleHeader.decode(message.header)
        return header.merkle_root, header.bundle_hash
