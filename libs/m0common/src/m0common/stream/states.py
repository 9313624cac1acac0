"""States of lanes in the log: reading manifests and what they are over, behind the broker port.

`m0.manifests` says which checkpoints are complete; `m0.state.<stage>` holds their entities. Both are append-only.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec

from m0common.canonical import Trie
from m0common.errors import OffsetsGone
from m0common.messages import Manifest, StateBatch
from m0common.messages.codec import UNDECODABLE
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.follow import Follower, bounds, read_to_end
from m0common.stream.records import Record
from m0common.stream.restored import LANE_STAGES, Restored
from m0common.stream.stretches import Stretches
from m0common.telemetry.logs import logger
from m0common.topics import MANIFESTS, STATE

log = logger(__name__)

Gather = Callable[[Manifest, Iterable[StateBatch]], dict[bytes, bytes]]
"""Picks a manifest's entities out of batches: `m0lanes.checkpoints.gathered`."""
Unsound = Callable[[Manifest, Mapping[bytes, bytes]], str | None]
"""Why nobody can go on from a manifest's entities although their digest is right, None when they make a state."""

WINDOW_RECORDS = 1000
LOOK_BACK_RECORDS = 1 << 20


class _Head(msgspec.Struct, array_like=True):
    """The beginning of a manifest: enough to pass over those of other stages, at an eighth of the cost."""

    stage: int


_decode_head = msgspec.msgpack.Decoder(_Head).decode
_decode_manifest = msgspec.msgpack.Decoder(Manifest).decode
_decode_batch = msgspec.msgpack.Decoder(StateBatch).decode


async def manifests(broker: Broker, partitions: Iterable[int], stage: int | None = None) -> list[Manifest]:
    """Every manifest in these partitions, of one stage or of all, in the order written. Raises Unavailable.

    What is no manifest is passed over with a warning: whoever wrote it, older ones serve.
    """
    found: list[Manifest] = []
    async for records in read_to_end(broker, MANIFESTS.name, partitions):
        found += [manifest for record in records if (manifest := _manifest(record, stage)) is not None]
    return found


async def manifests_since(broker: Broker, stage: int | None, next_offsets: dict[int, int]) -> list[Manifest]:
    """Manifests of one stage or of all from these offsets on (by partition), which are moved to behind what was
    returned.

    Raises Unavailable; OffsetsGone when a trim has overtaken the reader.
    """
    found: list[Manifest] = []
    async with Follower(broker) as follower:
        starts = {TopicPartition(MANIFESTS.name, partition): start for partition, start in sorted(next_offsets.items())}
        await follower.open(starts)
        await follower.go(starts, follower.ends)
        while follower.unread:
            records = await follower.next()
            found += [manifest for record in records if (manifest := _manifest(record, stage)) is not None]
        next_offsets |= {where.partition: at for where, at in follower.next_offsets.items()}
    return found


async def manifests_at(
    broker: Broker,
    catalog: str,
    partition: int,
    epoch_id: int,
    stages: Collection[int] = LANE_STAGES,
    most: int = LOOK_BACK_RECORDS,
) -> list[Manifest]:
    """A lane's manifests at one epoch's marker, in the order written; those of a stage may be missing, or several.

    Looks back from the end in windows that grow, until every stage of `stages` has one: it reads less than three times
    the records behind the oldest of them, and never more than `most`. Raises Unavailable.
    """
    where = TopicPartition(MANIFESTS.name, partition)
    begins, ends = await bounds(broker, [where])
    end = ends[where]
    begin = max(begins[where], end - most)
    found: list[Manifest] = []
    window = WINDOW_RECORDS
    while begin < end and {manifest.stage for manifest in found} != set(stages):
        start = max(begin, end - window)
        older: list[Manifest] = []
        async for records in read_to_end(broker, MANIFESTS.name, [partition], {partition: start}, {partition: end}):
            older += [manifest for record in records if (manifest := _manifest(record)) is not None]
        wanted = (catalog, partition, epoch_id)
        found[:0] = [m for m in older if m.stage in stages and (m.catalog, m.partition, m.epoch_id) == wanted]
        end, window = start, 2 * window
    return found


def _manifest(record: Record, stage: int | None = None) -> Manifest | None:
    """The manifest in a record, None when it is none, which is said, or another stage's."""
    try:
        if stage is not None and _decode_head(record.value).stage != stage:
            return None
        found = _decode_manifest(record.value)
        reason = _why_none(found, record.partition)
    except UNDECODABLE as error:
        reason = str(error)
    if reason is None:
        return found
    log.warning("not_a_manifest", partition=record.partition, offset=record.offset, reason=reason)
    return None


def _why_none(manifest: Manifest, partition: int) -> str | None:
    if manifest.stage not in STATE:
        return f"stage {manifest.stage} is none of {sorted(STATE)}"
    if manifest.partition != partition:
        return f"a manifest of partition {manifest.partition} in partition {partition}"
    if not 0 <= manifest.from_offset <= manifest.to_offset:
        return f"a range from {manifest.from_offset} to {manifest.to_offset}"
    return None


async def restore(broker: Broker, manifest: Manifest, gather: Gather) -> Restored | None:
    """The state that a manifest is over; None when what is in the log does not have its digest. Raises Unavailable."""
    found = await restore_newest(broker, [manifest], gather)
    return found[0] if found else None


def _any(_manifest: Manifest, _entities: Mapping[bytes, bytes]) -> None:
    """For callers that look at states themselves."""


async def restore_newest(
    broker: Broker, candidates: Sequence[Manifest], gather: Gather, unsound: Unsound = _any
) -> list[Restored]:
    """Of every lane among the candidates, which are in the order written, the newest state that restores and is sound,
    by life and position. Lanes of a partition share the reading: no record is read twice. Raises Unavailable.
    """
    places: dict[tuple[int, int], dict[str, list[Manifest]]] = {}
    for manifest in reversed(candidates):
        lanes = places.setdefault((manifest.stage, manifest.partition), {})
        lanes.setdefault(manifest.catalog, []).append(manifest)
    restored: list[Restored] = []
    for (stage, partition), lanes in sorted(places.items()):
        # of one position the last written counts: a lane that was carried forward is whole there alone
        newest_first = {
            catalog: sorted(known, key=lambda m: (m.life, m.position), reverse=True) for catalog, known in lanes.items()
        }
        reading = _Reading(broker, TopicPartition(STATE[stage].name, partition))
        restored += await reading.newest(newest_first, gather, unsound)
    return sorted(restored, key=lambda r: (r.manifest.stage, r.manifest.catalog, r.manifest.partition))


class _Reading:
    """One partition of a state topic, read as far as the lanes in it need it."""

    def __init__(self, broker: Broker, where: TopicPartition) -> None:
        self._broker = broker
        self._where = where
        self._begin, self._end = 0, 1 << 63
        """What the log is known to hold at most."""
        self._read = Stretches()
        self._batches: dict[int, StateBatch] = {}

    async def newest(self, lanes: dict[str, list[Manifest]], gather: Gather, unsound: Unsound) -> list[Restored]:
        """Of each lane's manifests, newest first, the first that restores and is sound."""
        restored: list[Restored] = []
        while lanes := {catalog: left for catalog, known in lanes.items() if (left := self._there(known))}:
            try:
                await self._cover([known[0] for known in lanes.values()])
            except OffsetsGone as error:
                self._begin, self._end = error.first, error.end
                continue
            for catalog, (manifest, *older) in list(lanes.items()):
                found = await self._restored(manifest, gather, unsound)
                if found is not None:
                    restored.append(found)
                lanes[catalog] = [] if found is not None else older
        return restored

    def _there(self, known: list[Manifest]) -> list[Manifest]:
        """Those from the first one on that lies in the log."""
        gone = 0
        while gone < len(known) and not self._begin <= known[gone].from_offset <= self._end:
            gone += 1
        if gone:
            log.warning("state_trimmed", first=self._begin, manifests=gone, left=len(known) - gone, **named(known[0]))
        return known[gone:]

    async def _cover(self, manifests: Iterable[Manifest]) -> None:
        topic, partition = self._where
        wanted = Stretches((manifest.from_offset, manifest.to_offset) for manifest in manifests)
        for start, end in wanted.without(self._read):
            async for records in read_to_end(self._broker, topic, [partition], {partition: start}, {partition: end}):
                self._batches |= {r.offset: batch for r in records if (batch := _batch(r)) is not None}
            self._read.add(start, end)

    async def _restored(self, manifest: Manifest, gather: Gather, unsound: Unsound) -> Restored | None:
        within = range(manifest.from_offset, manifest.to_offset)
        entities = gather(manifest, [batch for offset, batch in sorted(self._batches.items()) if offset in within])
        # a large state takes seconds: in a thread, beside heartbeats
        trie, root = await asyncio.to_thread(_hashed, entities)
        if root != manifest.digest:
            log.warning("state_incomplete", **named(manifest))
            return None
        reason = await asyncio.to_thread(unsound, manifest, entities)
        if reason is not None:
            log.error("state_refused", reason=reason, **named(manifest))
            return None
        return Restored(manifest, entities, trie)


def _hashed(entities: dict[bytes, bytes]) -> tuple[Trie, bytes]:
    trie = Trie.of(entities.items())
    return trie, trie.root


def named(manifest: Manifest) -> dict[str, int | str | None]:
    """A manifest as a line of the log names it."""
    return {
        "stage": manifest.stage,
        "lane": f"{manifest.catalog}/{manifest.partition}",
        "life": manifest.life,
        "position": manifest.position,
        "epoch_id": manifest.epoch_id,
    }


def _batch(record: Record) -> StateBatch | None:
    try:
        return _decode_batch(record.value)
    except UNDECODABLE as error:
        log.warning("not_a_state", topic=record.topic, offset=record.offset, reason=str(error))
        return None
