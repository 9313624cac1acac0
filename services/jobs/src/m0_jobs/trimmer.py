"""The job that keeps the lanes' state from growing: carries forward what stands still, deletes what is not promised.

A run cuts what could go at the run before already, and still can: between the two a lane that is just writing its first
checkpoint writes its manifest, one that had stood still and goes on shows it, and the copies of the others are there.

Nothing is cut in a partition of which a lane's newest state does not restore: what it can go on from is older. A
manifest of a life that nobody may have begun is not there: no lane goes on from it.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

import msgspec
from m0common.errors import DeadLetterError, InvalidValue
from m0common.messages import Manifest, encode
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.door import decoded
from m0common.stream.follow import Bounds, bounds, read_to_end
from m0common.stream.records import Produce
from m0common.stream.restored import Restored
from m0common.stream.states import restore
from m0common.telemetry.logs import logger
from m0common.topics import MANIFESTS, STATE
from m0lanes.checkpoints import gathered

from m0_jobs import carry, metrics, trim
from m0_jobs.trim import Kept

_log = logger(__name__)
_manifest = msgspec.msgpack.Decoder(Manifest)


@dataclass(slots=True)
class Trimmer:
    """The job; a run that breaks off anywhere leaves copies that nobody needs, and no hole.

    `no_life` says why no lane goes on from a manifest, None when one may (see m0lanes.births).
    """

    broker: Broker
    horizon_ms: int
    no_life: Callable[[Manifest], str | None]
    archived: Callable[[], Mapping[TopicPartition, int]] | None = None
    """Up to where each partition is archived: nothing is cut that is not. None where there is no archive."""
    _before: dict[TopicPartition, int] = field(default_factory=dict)
    _broken: dict[int, Kept] = field(default_factory=dict)
    """By partition of which nothing is cut, a lane whose newest state does not restore."""

    def notes(self) -> str | None:
        """Partitions that the newest run held, and what to do."""
        return "; ".join(_held(partition, lane) for partition, lane in sorted(self._broken.items())) or None

    async def run(self) -> int:
        """Carry forward and cut; how many offsets were cut. Raises Unavailable."""
        manifests = [each async for each in self._manifests()]
        begins, ends = await self._offsets()
        now_ms = trim.newest_windows(manifests)
        held = trim.whole(manifests, begins, ends)
        standing = trim.standing(held, now_ms, self.horizon_ms)
        broken = {each.lane.partition: each for each in standing if not await self._carry(each)}
        points = trim.cut_points(held, now_ms, self.horizon_ms)
        agreed = {where: min(offset, self._before.get(where, 0)) for where, offset in points.items()}
        if self.archived is not None:
            archived = self.archived()
            agreed = {where: min(offset, archived.get(where, 0)) for where, offset in agreed.items()}
        due = {where: offset for where, offset in agreed.items() if offset > begins[where]}
        for each in trim.newest_in({where.partition for where in due} - broken.keys(), held):
            if each not in standing and each.lane.partition not in broken and await self._restored(each) is None:
                broken[each.lane.partition] = each
        cuts = {where: offset for where, offset in due.items() if where.partition not in broken}
        if cuts:
            await self.broker.delete_before(cuts)
        self._before = points
        self._broken = broken
        metrics.HELD_PARTITIONS.set(len(broken))
        _measure(begins, ends, cuts)
        return sum(offset - begins[where] for where, offset in cuts.items())

    async def _manifests(self) -> AsyncIterator[Kept]:
        async with contextlib.aclosing(read_to_end(self.broker, MANIFESTS.name)) as log:
            async for records in log:
                for record in records:
                    try:
                        found = decoded(_manifest, record.value, "not_a_manifest")
                        manifest = trim.kept(found, record.partition, record.offset)
                    except (DeadLetterError, InvalidValue) as error:
                        metrics.TRIM_FAILURES.labels("unreadable").inc()
                        _log.error("manifest_unreadable", offset=record.offset, reason=str(error))
                        continue
                    if reason := self.no_life(found):
                        metrics.TRIM_FAILURES.labels("no_life").inc()
                        _log.error("manifest_refused", **manifest.lane._asdict(), life=manifest.life, reason=reason)
                    else:
                        yield manifest

    async def _offsets(self) -> Bounds:
        topics = (MANIFESTS.name, *(topic.name for topic in STATE.values()))
        places = [TopicPartition(topic, p) for topic in topics for p in range(await self.broker.partitions(topic))]
        return await bounds(self.broker, places)

    async def _carry(self, lane: Kept) -> bool:
        """Copy a lane's state to the end; whether it restores."""
        restored = await self._restored(lane)
        if restored is None:
            return False
        manifest, key = restored.manifest, restored.manifest.catalog.encode()
        messages = [Produce(*lane.state, key, value) for value in carry.batches(manifest, restored.entities)]
        producer = self.broker.producer()
        await producer.start()
        try:
            there = (await producer.send(messages))[lane.state]
            copy = carry.carried(manifest, there.first, there.end)
            await producer.send([Produce(*lane.manifests, key, encode(copy))])
        finally:
            await producer.stop()
        metrics.CARRIED.inc()
        _log.info("lane_carried", catalog=manifest.catalog, stage=manifest.stage, partition=manifest.partition)
        return True

    async def _restored(self, lane: Kept) -> Restored | None:
        """The state of a manifest, None when it does not have the digest that the manifest says."""
        restored = await restore(self.broker, await self._manifest(lane), gathered)
        if restored is None:
            metrics.TRIM_FAILURES.labels("not_restored").inc()
            _log.error(
                "state_not_restored",
                **lane.lane._asdict(),
                life=lane.life,
                position=lane.position,
                reason=f"{lane.state.topic} does not hold it: nothing is cut in this partition",
                remedy=f"restore the topic, or m0 lane rebase {lane.lane.catalog}",
            )
        return restored

    async def _manifest(self, lane: Kept) -> Manifest:
        topic, partition = lane.manifests
        starts, ends = {partition: lane.offset}, {partition: lane.offset + 1}
        async with contextlib.aclosing(read_to_end(self.broker, topic, [partition], starts, ends)) as log:
            (record,) = [record async for records in log for record in records]
        return decoded(_manifest, record.value, "not_a_manifest")


def _held(partition: int, lane: Kept) -> str:
    catalog = lane.lane.catalog
    return (
        f"nothing of partition {partition} is cut, since the newest state of lane {catalog}/{partition} in "
        f"{lane.state.topic} does not restore: restore the topic, or m0 lane rebase {catalog}"
    )


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
