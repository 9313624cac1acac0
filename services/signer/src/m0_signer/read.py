"""The signer's two readers: bundles claimed, and the topic from which it computes its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from m0common.chain import ChainError
from m0common.errors import LaneHole, Unavailable
from m0common.messages import BundleMessage
from m0common.stream.broker import Broker, Consumer, TopicPartition
from m0common.stream.records import Record
from m0common.telemetry.logs import logger
from m0common.topics import BUNDLES

from m0_signer import metrics
from m0_signer.compute import FROM_BEGINNING, Depth, Published
from m0_signer.desk import Desk
from m0_signer.guard import Guard

_BATCH = 500
_POLL_MS = 1000
_RETRY_S = 1.0

_log = logger(__name__)
_decode = msgspec.msgpack.Decoder(BundleMessage).decode


@dataclass(slots=True)
class Reader:
    """Reads all partitions of a topic, without a group; `start` is told where they begin and says where to."""

    broker: Broker
    topic: str
    start: Callable[[Mapping[TopicPartition, int]], Awaitable[dict[TopicPartition, int]]]
    take: Callable[[Record], Awaitable[None]]
    next: dict[TopicPartition, int] = field(default_factory=dict)
    problem: str | None = "has not read anything yet"

    async def run(self) -> None:
        """Until cancelled; a broker that is away is waited for, a hole stops reading for good."""
        while True:
            consumer = self.broker.consumer()
            try:
                await consumer.start()
                if not self.next:
                    self.next = await self._where_to_start(consumer)
                await consumer.assign(self.next)
                while True:
                    records = await consumer.getmany(_BATCH, _POLL_MS)
                    self.problem = None
                    for record in records:
                        await self.take(record)
                        self.next[TopicPartition(record.topic, record.partition)] = record.offset + 1
            except (Unavailable, ChainError) as error:
                self.problem = f"{self.topic}: {error}"
                _log.warning("reader_waits", topic=self.topic, error=str(error))
                await asyncio.sleep(_RETRY_S)
            except LaneHole as error:
                self.problem = f"{self.topic}: {error}"
                _log.error("lane_hole", topic=self.topic, error=str(error))
                return
            finally:
                await consumer.stop()

    async def _where_to_start(self, consumer: Consumer) -> dict[TopicPartition, int]:
        """Raises LaneHole when more was read before than there is: the topic was replaced by another."""
        where = [TopicPartition(self.topic, p) for p in range(await self.broker.partitions(self.topic))]
        begins, ends = await consumer.begin_offsets(where), await consumer.end_offsets(where)
        starts = await self.start(begins)
        for place, at in starts.items():
            if at > ends[place]:
                raise LaneHole(
                    f"{self.topic}/{place.partition} ends at {ends[place]} and was read up to {at} before: it is not "
                    "the same topic any more; restore it, or remove this signer's guard if its chain is gone too"
                )
        return starts


def claims(broker: Broker, guard: Guard, desk: Desk) -> Reader:
    """The reader of `m0.bundles`."""

    async def start(begins: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        kept = {where: guard.place(*where) for where in begins}
        return {where: FROM_BEGINNING if at is None else at for where, at in kept.items()}

    async def take(record: Record) -> None:
        try:
            bundle = _decode(record.value)
        except msgspec.MsgspecError as error:
            metrics.DEAD_LETTERS.labels(record.topic).inc()
            _log.warning("not_a_bundle", partition=record.partition, offset=record.offset, error=str(error))
            return
        await desk.claim(bundle, TopicPartition(record.topic, record.partition), record.offset)

    return Reader(broker, BUNDLES.name, start, take)


def computed(broker: Broker, depth: Depth, desk: Desk, published: Published) -> Reader:
    """The reader that feeds a depth."""

    async def start(begins: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        return await depth.start(begins, published)

    async def take(record: Record) -> None:
        for bundle in depth.feed(record):
            await desk.mine(bundle)

    return Reader(broker, depth.topic, start, take)
