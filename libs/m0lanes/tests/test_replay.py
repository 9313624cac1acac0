"""Replay over recorded topics: a match from the checkpoint and from the beginning, and where damage first shows."""

import lanes_log as log
import msgspec
import pytest
from m0common.canonical import BundleHeader
from m0common.errors import DeadLetterError, M0Error
from m0common.messages import BundleMessage, encode
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce, Record, Save
from m0common.topics import BUNDLES, CHECKPOINTS, RAW, TOPICS
from m0lanes.replay import replay_epoch
from m0lanes.stages import all_cores

EPOCH = log.FIRST_EPOCH + 2


async def live(records: list[Record]) -> MemoryBroker:
    """Run the four cores one after the other over a broker, as the services do, recording all they say."""
    broker = MemoryBroker()
    await broker.create_topics(TOPICS, log.PARTITIONS, 1)
    producer = broker.producer()
    await producer.start()
    await producer.send([Produce(RAW.name, r.partition, r.key, r.value) for r in records])
    for core in all_cores(1):
        for partition in range(await broker.partitions(core.input_topic)):
            for record in broker.log(core.input_topic, partition):
                try:
                    outputs = core.feed(record)
                except DeadLetterError:
                    continue
                for output in outputs:
                    if isinstance(output, Save):
                        c = output.checkpoint
                        key = f"{c.stage}:{c.partition}:{c.catalog}".encode()
                        await producer.send([Produce(CHECKPOINTS.name, c.partition, key, encode(c))])
                    else:
                        await producer.send([output])
    return broker


def finalized(broker: MemoryBroker):
    async def root(catalog: str, epoch_id: int) -> tuple[bytes, bytes] | None:
        for record in broker.log(BUNDLES.name, 0):
            bundle = msgspec.msgpack.decode(record.value, type=BundleMessage)
            if (bundle.catalog, bundle.epoch_id) == (catalog, epoch_id):
                header = BundleHeader.decode(bundle.header)
                return header.merkle_root, header.bundle_hash
        return None

    return root


@pytest.mark.parametrize("catalog", ["sports", "crypto"])
@pytest.mark.parametrize("full", [False, True])
async def test_an_honest_log_matches(catalog: str, full: bool):
    broker = await live(log.season(4).records)
    verdict = await replay_epoch(broker, finalized(broker), catalog, EPOCH, full=full)
    assert verdict.match, verdict.difference
    assert verdict.started_from == ("the beginning of the log" if full else f"the checkpoint of epoch {EPOCH - 1}")
    assert verdict.leaves > 0


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("mutation", ["change", "drop", "add", "swap"])
@pytest.mark.parametrize("index", [0, 1, 3])
async def test_one_damaged_event_is_found_and_named(mutation: str, full: bool, index: int):
    broker = await live(log.season(4).records)
    verdict = await replay_epoch(broker, finalized(broker), "crypto", EPOCH, full=full, mutation=mutation, index=index)
    assert not verdict.match
    assert "lane crypto/1, stage normalize, seq" in verdict.difference


async def test_an_epoch_that_is_not_final_is_refused_with_the_remedy():
    broker = await live(log.season(2).records)
    with pytest.raises(M0Error, match="not finalized on chain"):
        await replay_epoch(broker, finalized(broker), "crypto", EPOCH + 50)


async def test_a_forged_checkpoint_is_not_trusted():
    broker = await live(log.season(4).records)
    for partition in range(log.PARTITIONS):
        for record in list(broker.log(CHECKPOINTS.name, partition)):
            if record.key == b"3:0:sports":
                forged = record.value.replace(b"Arsenal", b"Arsenak")
                broker.append([Produce(CHECKPOINTS.name, partition, record.key, forged)])
    with pytest.raises(M0Error, match="digest it claims"):
        await replay_epoch(broker, finalized(broker), "sports", EPOCH)


async def test_a_bundle_finalized_with_another_root_is_a_difference():
    broker = await live(log.season(4).records)

    async def other(catalog: str, epoch_id: int) -> tuple[bytes, bytes]:
        return bytes(32), bytes(32)

    verdict = await replay_epoch(broker, other, "crypto", EPOCH)
    assert not verdict.match
    assert "not the one finalized on chain" in verdict.difference
