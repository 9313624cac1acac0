"""Checkpoints of lanes in `m0.checkpoints.v1`: where they lie, how to load the latest.

A checkpoint's key is `stage:partition:catalog`; it lies in the partition of its lane (modulo the topic's), so a stage
that takes over a partition reads one partition of checkpoints. Only the last value of each key is decoded.
"""

from collections.abc import Iterable

import msgspec

from m0common.errors import Unavailable
from m0common.messages import Checkpoint, encode
from m0common.stream.broker import Broker
from m0common.stream.core import CHECKPOINT_TOPIC
from m0common.stream.reader import read_to_end
from m0common.stream.records import Produce

_decode = msgspec.msgpack.Decoder(Checkpoint).decode


def checkpoint_key(stage: int, partition: int, catalog: str) -> bytes:
    """The key under which the latest checkpoint of a lane is kept."""
    return f"{stage}:{partition}:{catalog}".encode()


def checkpoint_message(checkpoint: Checkpoint, partitions: int) -> Produce:
    """A checkpoint as it is written to a topic of `partitions` partitions."""
    key = checkpoint_key(checkpoint.stage, checkpoint.partition, checkpoint.catalog)
    return Produce(CHECKPOINT_TOPIC, checkpoint.partition % partitions, key, encode(checkpoint))


def decode_checkpoint(value: bytes) -> Checkpoint:
    """A checkpoint from its bytes. Raises Unavailable when they are not one: nothing can start from it."""
    try:
        return _decode(value)
    except msgspec.MsgspecError as error:
        raise Unavailable(f"{CHECKPOINT_TOPIC} holds a value that is no checkpoint: {error}") from error


async def load_latest(broker: Broker, stage: int, partitions: Iterable[int]) -> list[Checkpoint]:
    """The latest checkpoint of every lane of `stage` in the given partitions, in key order. Raises Unavailable."""
    wanted = set(partitions)
    count = await broker.partitions(CHECKPOINT_TOPIC)
    latest: dict[bytes, bytes] = {}
    async for records in read_to_end(broker, CHECKPOINT_TOPIC, {partition % count for partition in wanted}):
        for record in records:
            if record.key is not None and _belongs(record.key, stage, wanted):
                latest[record.key] = record.value
    return [decode_checkpoint(latest[key]) for key in sorted(latest)]


def _split(key: bytes) -> tuple[str, str, str]:
    stage, _, rest = key.decode("utf-8", "replace").partition(":")
    partition, _, catalog = rest.partition(":")
    return stage, partition, catalog


def _belongs(key: bytes, stage: int, partitions: set[int]) -> bool:
    key_stage, partition, _ = _split(key)
    return key_stage == str(stage) and partition.isdecimal() and int(partition) in partitions
