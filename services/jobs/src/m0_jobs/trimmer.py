"""The job that keeps the lanes' state from growing: carries forward what stands still, deletes what is not promised.

A run cuts what could go at the run before already, and still can: between the two a lane that is just writing its first
checkpoint writes its manifest, one that had stood still and goes on shows it, and the copies of the others are there.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import msgspec
from m0common.errors import DeadLetterError, InvalidValue
from m0common.messages import Manifest, StateBatch, encode
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.door import decoded
from m0common.stream.reader import read_to_end
from m0common.stream.records import Produce, Record
from m0common.telemetry.logs import logger
from m0common.topics import MANIFESTS, STATE

from m0_jobs import carry, metrics, trim
from m0_jobs.trim import Kept

_log = logger(__name__)
_manifest = msgspec.msgpack.Decoder(Manifest)
_batch = msgspec.msgpack.Decoder(StateBatch)


@dataclass(slots=True)
class Trimmer:
    """The job; a run that breaks off anywhere leaves copies that nobody needs, and no hole."""

    broker: Broker
    horizon_ms: int
    _before: dict[TopicPartition, int] = field(default_factory=dict)

    async def run(self) -> int:
        """Carry forward and cut; how many offsets were cut. Raises Unavailable."""
        manifests = [each async for each in self._manifests()]
        begins, ends = await self._offsets()
        now_ms = trim.newest_windows(manifests)
        held = trim.whole(manifests, begins, ends)
        for lane in trim.standing(held, now_ms, self.horizon_ms):
            await self._carry(lane)
        points = trim.cut_points(held, now_ms, self.horizon_ms)
        agreed = {where: min(offset, self._before.get(where, 0)) for where, offset in points.items()}
        cuts = {where: offset for where, offset in agreed.items() if offset > begins[where]}
        if cuts:
            await self.broker.delete_before(cuts)
        self._before = points
        _measure(begins, ends, cuts)
        return sum(offset - begins[where] for where, offset in cuts.items())

    async def _manifests(self) -> AsyncIterator[Kept]:
        async with contextlib.aclosing(read_to_end(self.broker, MANIFESTS.name)) as log:
            async for records in log:
                for record in records:
                    try:
                        found = decoded(_manifest, record.value, "not_a_manifest")
                        yield trim.kept(found, record.partition, record.offset)
                    except (DeadLetterError, InvalidValue) as error:
                        metrics.TRIM_FAILURES.labels("unreadable").inc()
                        _log.error("manifest_unreadable", offset=record.offset, reason=str(error))

    async def _offsets(self) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        topics = (MANIFESTS.name, *(topic.name for topic in STATE.values()))
        places = [TopicPartition(topic, p) for topic in topics for p in range(await self.broker.partitions(topic))]
        consumer = self.broker.consumer()
        await consumer.start()
        try:
            return await consumer.begin_offsets(places), await consumer.end_offsets(places)
        finally:
            await consumer.stop()

    async def _carry(self, lane: Kept) -> None:
        """Copy a lane's state to the end. One that does not restore holds its partition until it is repaired."""
        (record,) = await self._range(lane.manifests, lane.offset, lane.offset + 1)
        manifest = decoded(_manifest, record.value, "not_a_manifest")
        records = await self._range(lane.state, lane.from_offset, lane.to_offset)
        try:
            state = carry.entities(manifest, _batches(records))
        except InvalidValue as error:
            metrics.TRIM_FAILURES.labels("not_restored").inc()
            _log.error("state_not_restored", reason=str(error), remedy="m0 lane rebase, or restore the topic")
            return
        messages = [Produce(*lane.state, record.key, encode(batch)) for batch in carry.batches(manifest, state)]
        producer = self.broker.producer()
        await producer.start()
        try:
            there = (await producer.send(messages))[lane.state]
            copy = carry.carried(manifest, there.first, there.end)
            await producer.send([Produce(*lane.manifests, record.key, encode(copy))])
        finally:
            await producer.stop()
        metrics.CARRIED.inc()
        _log.info("lane_carried", catalog=manifest.catalog, stage=manifest.stage, partition=manifest.partition)

    async def _range(self, where: TopicPartition, start: int, end: int) -> list[Record]:
        """The records in `[start, end)`."""
        found: list[Record] = []
        log = read_to_end(self.broker, where.topic, [where.partition], {where.partition: start})
        async with contextlib.aclosing(log):
            async for records in log:
                found += [record for record in records if record.offset < end]
                if records[-1].offset >= end - 1:
                    break
        return found


def _batches(records: Iterable[Record]) -> Iterable[StateBatch]:
    for record in records:
        with contextlib.suppress(DeadLetterError):  # what is missing shows in the digest
            yield decoded(_batch, record.value, "not_a_batch")


def _measure(
    begins: dict[TopicPartition, int], ends: dict[TopicPartition, int], cuts: dict[TopicPartition, int]
) -> None:
    sizes: dict[str, int] = {}
    for where, end in ends.items():
        begin = cuts.get(where, begins[where])
        sizes[where.topic] = sizes.get(where.topic, 0) + end - begin
        if where in cuts:
            metrics.TRIMMED.labels(where.topic).inc(begin - begins[where])
    for topic, size in sizes.items():
        metrics.STATE_RECORDS.labels(topic).set(size)
