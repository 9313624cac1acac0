"""A log that Kafka has lost, written anew from its archive into an empty cluster: the same records at the same offsets.

So what names offsets stays true: manifests, states, cursors, and whoever noted how far it has read. Topics that are not
archived stay empty; `m0 lane rebase` begins lanes anew from the states that are there.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from m0archive.collect import TOPICS as ARCHIVED
from m0archive.entries import Gap
from m0archive.errors import Damaged, NoArchive
from m0archive.incarnation import Incarnation, incarnations
from m0archive.store import Store
from m0archive.verify import verify
from m0common import deployment_record
from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.errors import M0Error, SettingsError, Unavailable
from m0common.settings import Kafka
from m0common.stream.broker import TopicPartition
from m0common.stream.kafka import KafkaBroker
from m0common.stream.kafka_bounds import bounds
from m0common.stream.kafka_exact import ExactWriter
from m0common.stream.kafka_options import KafkaOptions
from m0common.topics import BY_NAME, RAW, TOPICS
from m0kafka.confluent import ConfluentCluster

from m0deploy.refill import Held, Refill, begin_of

TIMES = "message.timestamp.type"
PATIENT_MS = 60_000
SHOWN_S = 60.0
LOOK_S = 0.1
SETTLED_S = 2.0
"""A broker that shows a topic's setting goes by it a moment later."""

Says = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RestoredLog:
    """`cluster` is whose log it is, `upto_ms` when the archive was written last, `restored_ends` where `m0.raw` ends by
    partition; `records` counts those written now.
    """

    cluster: str
    upto_ms: int
    records: int
    restored_ends: tuple[int, ...]
    took_ms: int


async def choose(store: Store, deployment: Deployment, cluster: str | None) -> Incarnation:
    """The log of a cluster, the newest when none is named. Raises NoArchive, Damaged, Unavailable."""
    known = []
    async for each in incarnations(store, deployment):
        if cluster in (None, each.cluster):
            return each
        known.append(each.cluster)
    raise NoArchive(f"the archive at {store.address} has no log of cluster {cluster}: it has {', '.join(known)}")


async def restore(
    store: Store, deployment: Deployment, settings: Kafka, clock: Clock, cluster: str | None, says: Says
) -> RestoredLog:
    """Write the log into the cluster of `settings`; run again after an interruption it goes on.

    Raises SettingsError, and has written nothing, for a cluster that holds anything else or is in use; Damaged for an
    archive that is not whole, before anything is written; NoArchive, Unavailable.
    """
    began_ms = clock.monotonic_ms()
    log = await choose(store, deployment, cluster)
    options = KafkaOptions.of(settings, "m0-restore")
    options = replace(
        options, request_timeout_ms=max(options.request_timeout_ms, PATIENT_MS), send_timeout_ms=PATIENT_MS
    )
    broker = KafkaBroker(options)
    admin = await asyncio.to_thread(ConfluentCluster, options)
    await _refuse_used(broker, admin, log, deployment.partitions)
    says("every byte of the archive is checked")
    faults = (await verify(store, deployment, lambda *_: None)).faults
    if faults:
        raise Damaged(
            faults[0].partition(": ")[0], f"nothing is restored from an archive that is not whole: {faults[0]}"
        )
    refills = await _refills(log)
    found = await bounds(options, [refill.where for refill in refills])
    held = {where: Held(*each) for where, each in found.items()}
    for refill in refills:
        if held[refill.where].end > 0:
            await refill.check(broker, held[refill.where])
    says(f"{len(refills)} partitions are written")
    async with _keeping_times(admin), ExactWriter(options) as writer:
        records = await _all([refill.run(writer, broker, held[refill.where]) for refill in refills])
    ends = await bounds(options, [refill.where for refill in refills])
    for refill in refills:
        if ends[refill.where].end != refill.end:
            raise SettingsError(
                f"{refill.where.topic} partition {refill.where.partition} ends at {ends[refill.where].end} and not at "
                f"{refill.end}: somebody else writes there; stop every service, empty Kafka's storage and begin again"
            )
    raw = tuple(log.end(TopicPartition(RAW.name, number)) for number in range(deployment.partitions))
    return RestoredLog(log.cluster, log.last.written_ms, sum(records), raw, clock.monotonic_ms() - began_ms)


async def _refuse_used(broker: KafkaBroker, admin: ConfluentCluster, log: Incarnation, partitions: int) -> None:
    """Raise SettingsError for a cluster that no log is restored into."""
    if await broker.cluster() == log.cluster:
        raise SettingsError(
            f"cluster {log.cluster} is the one that this log was archived from: it has it; see `m0 backup list`, and "
            "name an older log with --log to restore that one into an empty cluster"
        )
    if groups := await asyncio.to_thread(admin.manned_groups):
        raise SettingsError(f"consumer groups {', '.join(sorted(groups))} have members: stop every service first")
    there = await asyncio.to_thread(admin.topics, [topic.name for topic in TOPICS])
    for topic in TOPICS:
        count, wanted = there[topic.name].partitions if topic.name in there else 0, topic.partitions(partitions)
        if count != wanted or log.partitions(topic.name) not in (0, wanted):
            raise SettingsError(
                f"topic {topic.name} has {count} partitions here, {log.partitions(topic.name)} in the archive, and the "
                f"settings ask for {wanted}: make the topics with `m0 topics apply`, with kafka.partitions as it was"
            )
    others = [
        TopicPartition(t.name, n) for t in TOPICS if t.name not in ARCHIVED for n in range(t.partitions(partitions))
    ]
    for where, each in (await bounds(broker.options, others)).items():
        if each.end > 0:
            raise SettingsError(
                f"topic {where.topic} is not empty: a log is restored into a cluster that has nothing but the topics "
                "of `m0 topics apply`; stop every service, empty Kafka's storage and begin again"
            )


async def _refills(log: Incarnation) -> list[Refill]:
    """Every archived partition, from where its topic would still keep it."""
    gaps: dict[TopicPartition, list[Gap]] = {}
    async for gap in log.gaps():
        gaps.setdefault(TopicPartition(gap.topic, gap.partition), []).append(gap)
    made = []
    for name in sorted(log.last.ends):
        topic = BY_NAME[name]
        for number in range(log.partitions(name)):
            where = TopicPartition(name, number)
            begin = log.begin(where)
            if not topic.compacted and topic.retention_ms > 0:
                begin = await begin_of(log, where, log.last.written_ms - topic.retention_ms)
            made.append(Refill(log, where, begin, gaps.get(where, ())))
    return made


async def _all(runs: Sequence[Coroutine[Any, Any, int]]) -> list[int]:
    try:
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(run) for run in runs]
    except ExceptionGroup as failed:  # not except*, which packs what it raises into a group again
        if (faults := failed.split(M0Error)[1]) is not None:
            raise faults from None
        raise failed.exceptions[0] from None
    return [task.result() for task in made]


@contextlib.asynccontextmanager
async def _keeping_times(admin: ConfluentCluster) -> AsyncIterator[None]:
    """For the length of the block topics of append times keep the times of their writers."""
    names = [topic.name for topic in TOPICS if topic.append_time]
    try:
        for name in names:
            await asyncio.to_thread(_change, admin, name, "CreateTime")
        await asyncio.sleep(SETTLED_S)
        yield
    finally:
        for name in names:
            await asyncio.to_thread(_change, admin, name, BY_NAME[name].config[TIMES])


def _change(admin: ConfluentCluster, name: str, times: str) -> None:
    admin.change(name, {TIMES: times})
    deadline_s = time.monotonic() + SHOWN_S
    while admin.topics([name])[name].settings[TIMES] != times:
        if time.monotonic() > deadline_s:
            raise Unavailable(f"topic {name}: the brokers do not show {TIMES}={times} after {SHOWN_S:.0f} s")
        time.sleep(LOOK_S)


def note(file: Path, ends: Sequence[int]) -> bool:
    """Note in a deployment's record where its `m0.raw` was restored to; whether it could be. Services read it there."""
    try:
        deployment_record.write(file, deployment_record.read(file) | {deployment_record.RESTORED_ENDS: list(ends)})
    except SettingsError:
        return False
    return True
