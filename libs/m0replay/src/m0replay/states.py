"""Published states: finding the manifests of an epoch, and taking a state only when its header commits to it.

Replay goes on from one, and so does a signer that has no state of its own.
"""

from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

import msgspec
from m0common.errors import M0Error
from m0common.ids import Lane
from m0common.messages import HeaderMessage, Manifest
from m0common.messages.codec import UNDECODABLE
from m0common.stream.broker import AT_BEGINNING, Broker, TopicPartition
from m0common.stream.records import Record
from m0common.stream.restored import Restored
from m0common.stream.states import restore
from m0common.topics import MANIFESTS
from m0lanes.checkpoints import gathered

from m0replay.seek import read_from, seek

STAGES = {1: "normalize", 2: "feature", 3: "model"}
"""The stages whose states a header commits to."""
LAST_LIFE = (1 << 32) - 1
BEHIND = 500
"""So many records behind a manifest are looked at for others of the same epoch."""

_decode = msgspec.msgpack.Decoder(Manifest).decode


class Untrusted(M0Error):
    """A published state is not the one that the header of its epoch commits to; names stage and lane."""


class Published(NamedTuple):
    """A header and, for every lane it names, the states of stages 1 to 3 that it commits to."""

    header: HeaderMessage
    states: list[Restored]


def _manifest(record: Record, stage: int, catalog: str) -> Manifest | None:
    try:
        manifest = _decode(record.value)
    except UNDECODABLE:
        return None
    return manifest if (manifest.stage, manifest.catalog) == (stage, catalog) else None


async def manifests_at(broker: Broker, lane: Lane, stage: int, life: int, epoch_id: int) -> list[Manifest]:
    """The manifests of a lane's life at an epoch's marker, in the order written. Raises Unavailable."""
    where = TopicPartition(MANIFESTS.name, lane.partition)
    wanted = (life, epoch_id)

    def reached(record: Record) -> bool | None:
        manifest = _manifest(record, stage, lane.catalog)
        at = None if manifest is None else _at(manifest)
        return None if at is None else at >= wanted

    start = (await seek(broker, where, reached)).offset
    found: list[Manifest] = []
    async with aclosing(read_from(broker, where, start)) as records:
        async for record in records:
            manifest = _manifest(record, stage, lane.catalog)
            at = None if manifest is None else _at(manifest)
            if record.offset > start + BEHIND or (at is not None and at > wanted):
                break
            if manifest is not None and at == wanted:
                found.append(manifest)
    return found


def _at(manifest: Manifest) -> tuple[int, int] | None:
    """Life and epoch, which ascend in the log: a new life runs through epochs again that an old one had."""
    return None if manifest.epoch_id is None else (manifest.life, manifest.epoch_id)


async def published(broker: Broker, header: HeaderMessage) -> Published | None:
    """The states that a header commits to; None when one of them is no longer in the log.

    Raises Untrusted when a lane has published another one, Unavailable.
    """
    states: list[Restored] = []
    for named in header.lanes:
        lane = Lane(header.catalog, named.partition)
        for stage, digest in enumerate(named.stage_digests, 1):
            known = await manifests_at(broker, lane, stage, named.life, header.epoch_id)
            committed = [manifest for manifest in known if manifest.digest == digest]
            if known and not committed:
                raise Untrusted(
                    f"the checkpoint of lane {lane.catalog}/{lane.partition}, stage {STAGES[stage]}, epoch "
                    f"{header.epoch_id} has the digest {known[-1].digest.hex()}, its header commits to {digest.hex()}"
                )
            restored = await _first_restored(broker, committed)
            if restored is None:
                return None
            states.append(restored)
    return Published(header, states)


async def ended_before(broker: Broker, lane: Lane, epoch_id: int, life: int = LAST_LIFE) -> list[Restored]:
    """The last states of a lane that a generation has ended by an epoch: it goes on from them when it is opened again.
    `life` is the newest to be looked at.

    Empty for a lane that had not begun. Raises Unavailable.
    """
    last = await _last_by(broker, lane, life, epoch_id)
    while last is not None and last[1] > epoch_id:
        # no later life has a marker by then, and what this one said behind the epoch is not meant either
        last = await _last_by(broker, lane, last[0], epoch_id)
    if last is None:
        return []
    known = [await manifests_at(broker, lane, stage, *last) for stage in STAGES]
    states = [await _first_restored(broker, each) for each in known]
    return [state for state in states if state is not None]


async def _last_by(broker: Broker, lane: Lane, life: int, epoch_id: int) -> tuple[int, int] | None:
    """Life and epoch of a lane's last marker that is not behind an epoch of a life, as stage 1 has them."""

    def reached(record: Record) -> bool | None:
        manifest = _manifest(record, 1, lane.catalog)
        at = None if manifest is None else _at(manifest)
        return None if at is None else at > (life, epoch_id)

    before = (await seek(broker, TopicPartition(MANIFESTS.name, lane.partition), reached)).before
    last = None if before is None else _manifest(before, 1, lane.catalog)
    return None if last is None else _at(last)


async def first_manifest(broker: Broker, lane: Lane) -> Manifest | None:
    """The oldest manifest of a lane's first stage that the log still has. Raises Unavailable."""
    where = TopicPartition(MANIFESTS.name, lane.partition)
    async with aclosing(read_from(broker, where, AT_BEGINNING)) as records:
        async for record in records:
            manifest = _manifest(record, 1, lane.catalog)
            if manifest is not None:
                return manifest
    return None


async def _first_restored(broker: Broker, known: Sequence[Manifest]) -> Restored | None:
    for manifest in known:
        restored = await restore(broker, manifest, gathered)
        if restored is not None:
            return restored
    return None


def reads_from(manifest: Manifest) -> int:
    """The offset that reading must begin at to go on from a state of normalize, or of the bundle stage."""
    if manifest.held_from is not None:
        return manifest.held_from
    at_marker = manifest.stage == 1 and manifest.epoch_id is not None
    return manifest.input_offset + (0 if at_marker else 1)  # what follows a marker is done when it is read again
