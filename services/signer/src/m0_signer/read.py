"""The signer's two readers: epochs claimed (`m0.headers`), and the topic from which it computes its own."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import msgspec
from m0chain import ChainError
from m0common.errors import OffsetsGone, Unavailable
from m0common.messages import HeaderMessage
from m0common.messages.codec import UNDECODABLE
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.follow import Follower
from m0common.stream.metrics import StageMetrics
from m0common.stream.records import Record
from m0common.telemetry.logs import logger
from m0common.telemetry.traces import epoch_span
from m0common.topics import HEADERS

from m0_signer import metrics
from m0_signer.depth import Depth, StartAgain
from m0_signer.desk import Desk
from m0_signer.workers.crew import OtherBuild
from m0_signer.workers.link import WorkerLost

_BATCH = 500
_SLICE = 32
"""After so many records the event loop gets a turn."""
_POLL_MS = 1000
_WORKING_MS = 20
"""So long while epochs may be closed by what was read already."""
_RETRY_S = 1.0

_log = logger(__name__)
_decode = msgspec.msgpack.Decoder(HeaderMessage).decode
Offsets = Mapping[TopicPartition, int]


class Source(Protocol):
    """What is read, and what is done with it."""

    topic: str

    async def read_from(self, cluster: str) -> bool:
        """The topic is this cluster's; whether it was another's before, whose offsets are forgotten now."""
        ...

    async def start(self, begins: Offsets, ends: Offsets) -> dict[TopicPartition, int]:
        """Where to read each partition from, in a log of `begins` to `ends`."""
        ...

    async def take(self, record: Record) -> None:
        """One record."""
        ...

    async def pause(self, next_offsets: Offsets) -> None:
        """A batch has been taken, or there was none for a while."""
        ...

    def patience_ms(self) -> int:
        """How long to wait for records."""
        ...

    async def stop(self, next_offsets: Offsets) -> None:
        """Reading ends here."""
        ...


class _Overtaken(Exception):
    """The log was cut in front of the reader."""


class Reader:
    """Reads all partitions of a topic that a source wants, without a group. `problem` says why it does not, or None."""

    def __init__(self, broker: Broker, source: Source) -> None:
        self.topic = source.topic
        self.problem: str | None = "has not read anything yet"
        self._broker = broker
        self._source = source
        self._metrics = StageMetrics("signer")
        self._next: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Until cancelled. A broker that is away is waited for; where the log has lost what comes next it begins again,
        from what is kept or published; a topic that was replaced by another stops it for good.
        """
        try:
            while True:
                try:
                    await self._read()
                except StartAgain:
                    self._next = {}
                except _Overtaken as error:
                    self._next = {}
                    self.problem = (
                        f"{self.topic}: {error.__cause__}; it goes on from what is kept, or from a published state"
                    )
                    metrics.GAPS.labels(self.topic).inc()
                    _log.warning("reader_overtaken", topic=self.topic, error=str(error.__cause__))
                    await asyncio.sleep(_RETRY_S)
                except WorkerLost as error:
                    self._next = {}
                    self.problem = f"{self.topic}: {error}"
                    metrics.WORKERS_LOST.inc()
                    _log.error("worker_lost", topic=self.topic, error=str(error))
                    await asyncio.sleep(_RETRY_S)
                except (Unavailable, ChainError) as error:
                    self.problem = f"{self.topic}: {error}"
                    _log.warning("reader_waits", topic=self.topic, error=str(error))
                    await asyncio.sleep(_RETRY_S)
        except OffsetsGone as error:
            self.problem = f"{self.topic}: {error}; restore the topic and start the signer again"
            _log.error("reader_stopped", topic=self.topic, error=str(error))
            await asyncio.Event().wait()  # red until somebody has looked: starting again would not help
        finally:
            await self._source.stop(self._next)

    async def _read(self) -> None:
        """Raises OffsetsGone when more was read before than there is: the topic was replaced by another."""
        async with Follower(self._broker, metrics=self._metrics) as follower:
            await follower.open(await follower.places(self.topic))
            if not self._next:
                cluster = await self._broker.cluster()
                if await self._source.read_from(cluster):
                    _log.warning("another_log", topic=self.topic, cluster=cluster)
                self._next = await self._source.start(follower.begins, follower.ends)
            await follower.go(self._next)
            while True:
                for count, record in enumerate(await self._records(follower), 1):
                    await self._source.take(record)
                    self._next[TopicPartition(record.topic, record.partition)] = record.offset + 1
                    if count % _SLICE == 0:
                        await asyncio.sleep(0)
                await self._source.pause(self._next)
                self.problem = follower.problem

    async def _records(self, follower: Follower) -> list[Record]:
        try:
            return await follower.next(_BATCH, self._source.patience_ms())
        except OffsetsGone as error:
            if error.wanted > error.end:
                raise
            raise _Overtaken from error


class Claims:
    """The epochs that the bundle service closes, and whatever else is written beside them.

    Those of catalogs that are not this signer's are passed over.
    """

    topic = HEADERS.name

    def __init__(self, desk: Desk, catalogs: frozenset[str]) -> None:
        self._desk, self._catalogs = desk, catalogs

    async def read_from(self, cluster: str) -> bool:
        """See Source."""
        return await self._desk.read_from(self.topic, cluster)

    async def start(self, begins: Offsets, _ends: Offsets) -> dict[TopicPartition, int]:
        """See Source."""
        return await self._desk.begin(begins)

    async def take(self, record: Record) -> None:
        """See Source."""
        try:
            header = _decode(record.value)
        except UNDECODABLE as error:
            metrics.DEAD_LETTERS.labels(record.topic).inc()
            _log.warning("not_a_header", partition=record.partition, offset=record.offset, error=str(error))
            return
        if header.catalog in self._catalogs:
            with epoch_span("signer claim", header.catalog, header.epoch_id, record.headers):
                await self._desk.claim(header, TopicPartition(record.topic, record.partition), record.offset)

    async def pause(self, _next_offsets: Offsets) -> None:
        """See Source: every decision has noted its place. Raises StartAgain for claims that had no room."""
        if self._desk.reads_again:
            raise StartAgain

    def patience_ms(self) -> int:
        """See Source."""
        return _POLL_MS

    async def stop(self, next_offsets: Offsets) -> None:
        """See Source."""


class Computing:
    """Feeds a depth, hands what it computes to the desk, and saves its lanes from time to time and at the end."""

    def __init__(self, depth: Depth, desk: Desk, save_every_ms: int) -> None:
        self.topic = depth.topic
        self._depth, self._desk = depth, desk
        self._save_every_s = save_every_ms / 1000
        self._saved_s = 0.0

    async def read_from(self, cluster: str) -> bool:
        """See Source."""
        return await self._depth.read_from(cluster)

    async def start(self, begins: Offsets, ends: Offsets) -> dict[TopicPartition, int]:
        """See Source."""
        starts = await self._depth.start(begins, ends)
        self._saved_s = asyncio.get_running_loop().time()
        for header in self._depth.undecided():
            await self._desk.mine(header)
        return starts

    async def take(self, record: Record) -> None:
        """See Source."""
        for header in await self._depth.feed(record):
            await self._desk.mine(header)

    async def pause(self, next_offsets: Offsets) -> None:
        """See Source."""
        for header in await self._depth.catch_up(next_offsets):
            await self._desk.mine(header)
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._saved_s + self._save_every_s:
            self._saved_s = now_s
            await self._depth.save(next_offsets)

    def patience_ms(self) -> int:
        """See Source."""
        return _WORKING_MS if self._depth.works else _POLL_MS

    async def stop(self, next_offsets: Offsets) -> None:
        """See Source."""
        try:
            if next_offsets:
                await self._depth.save(next_offsets)
        except (WorkerLost, OtherBuild) as error:
            _log.warning("not_saved", topic=self.topic, error=str(error))
        finally:
            await self._depth.stop()
