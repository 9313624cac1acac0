"""An archive behind the broker port: what reads Kafka reads an archive, and comes to the same."""

import lanes_world as lanes
import pytest
from archive_world import Archived
from m0archive import objects
from m0archive.broker import ArchiveBroker
from m0archive.collect import TOPICS
from m0archive.incarnation import newest
from m0common.canonical import BundleHeader
from m0common.errors import OffsetsGone, SettingsError, Unavailable
from m0common.stream.broker import AT_BEGINNING, AT_END, TopicPartition
from m0common.stream.follow import Follower, read_to_end
from m0common.topics import NORMALIZED, RAW, STATE
from m0lanes.generations import lanes_of
from m0replay.headers import headers
from m0replay.replay import replay_epoch

EPOCHS = 4
LANE = lanes_of(lanes.World().payload(1))[0]


async def archived(**options):
    world = await Archived(objects.memory()).of(lanes.season(EPOCHS).records)
    world.everything_is_old()
    await world.fill(**options)
    return world, ArchiveBroker(await newest(world.store))


@pytest.mark.parametrize("full", [False, True])
async def test_every_epoch_matches_from_the_archive_alone(full):
    world, broker = await archived(round_bytes=4000)
    for epoch_id in world.log.headers():
        verdict = await replay_epoch(broker, world.log.heart, world.log.final, "coins", epoch_id, full=full)
        assert verdict.match, (epoch_id, verdict.difference)
        live = await replay_epoch(world.broker, world.log.heart, world.log.final, "coins", epoch_id, full=full)
        assert verdict == live


async def test_a_difference_is_told_by_the_header_where_no_lanes_are_kept():
    world, broker = await archived()

    async def another(catalog, epoch_id):
        _, bundle_hash = await world.log.final(catalog, epoch_id)
        return bytes(32), bundle_hash

    verdict = await replay_epoch(broker, world.log.heart, another, "coins", lanes.FIRST + 2, lanes_kept=False)
    assert not verdict.match
    assert verdict.difference == "the header recorded in m0.headers is not the one finalized on chain"


async def test_every_topic_is_read_as_kafka_gives_it():
    world, broker = await archived(round_bytes=3000)
    for topic in TOPICS:
        assert await broker.partitions(topic) == await world.broker.partitions(topic)
        read = [[r async for batch in read_to_end(each, topic) for r in batch] for each in (broker, world.broker)]
        assert sorted(read[0]) == sorted(read[1])
    assert await broker.cluster() == world.broker.cluster_id


async def test_it_is_read_from_any_offset_and_a_few_at_a_time():
    world, broker = await archived(round_bytes=3000)
    where, every = TopicPartition(RAW.name, LANE), world.broker.log(RAW.name, LANE)
    async with Follower(broker) as follower:
        await follower.open([where])
        for start in (*range(len(every) + 1), AT_BEGINNING, AT_END):
            await follower.go({where: start}, follower.ends)
            found = []
            while follower.unread:
                found += await follower.next(7)
            assert found == every[len(every) if start == AT_END else max(start, 0) :]
        with pytest.raises(OffsetsGone):
            await follower.go({where: len(every) + 1})


async def test_what_was_not_archived_does_not_exist_and_nothing_is_written():
    _, broker = await archived()
    with pytest.raises(Unavailable, match="is not in the archive of cluster"):
        await broker.partitions(NORMALIZED.name)
    for writes in (broker.producer, lambda: broker.transactions("m0-x"), lambda: broker.consumer(group="m0-x")):
        with pytest.raises(SettingsError, match="an archive can be read and no more"):
            writes()
    with pytest.raises(SettingsError):
        await broker.delete_before({TopicPartition(STATE[1].name, 0): 1})


async def test_the_log_that_kafka_has_forgotten_is_replayed_from_the_archive():
    world, broker = await archived()
    for partition in range(lanes.PARTITIONS):
        for topic in TOPICS:
            if partition < len(world.broker.topic(topic).logs):
                world.broker.truncate(topic, partition, 1 << 40)
    await world.fill()
    verdict = await replay_epoch(
        ArchiveBroker(await newest(world.store)), world.log.heart, final_of(broker), "coins", lanes.FIRST + 1, full=True
    )
    assert verdict.match, verdict.difference


def final_of(broker):
    async def final(catalog, epoch_id):
        async for message in headers(broker, catalog, epoch_id, epoch_id):
            header = BundleHeader.decode(message.header)
            return header.merkle_root, header.bundle_hash
        return None

    return final
