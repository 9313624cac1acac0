"""What comes from Kafka into an archive, when, and that a stop anywhere loses and doubles nothing."""

import lanes_world as lanes
import msgspec
import pytest
from archive_world import DEPLOYMENT, LATE_MS, Archived
from m0archive import objects
from m0archive.collect import TOPICS
from m0archive.entries import check_identity, log_chain
from m0archive.errors import NoArchive
from m0archive.incarnation import incarnations, newest
from m0archive.verify import verify
from m0common.canonical import BundleHeader
from m0common.deployment import Deployment
from m0common.errors import Fenced, OffsetsGone, Unavailable
from m0common.messages import HeaderMessage, Manifest
from m0common.stream.broker import TopicPartition
from m0common.stream.records import Produce
from m0common.topics import BUNDLES, HEADERS, MANIFESTS, RAW, STATE
from m0lanes.generations import lanes_of

EPOCHS = 4
LANE = lanes_of(lanes.World().payload(1))[0]
"""A partition of raw with something in it."""
_header = msgspec.msgpack.Decoder(HeaderMessage).decode
_manifest = msgspec.msgpack.Decoder(Manifest).decode
SECRET = {topic.name for topic in (HEADERS, BUNDLES, MANIFESTS, *STATE.values())}


async def archived(store):
    return await Archived(store).of(lanes.season(EPOCHS).records)


async def test_all_that_is_no_secret_any_more_is_archived_as_it_was(store):
    world = await archived(store)
    world.everything_is_old()
    records = await world.fill()
    held = world.written()
    assert {topic for topic, _ in held} == set(TOPICS)
    assert all(any(held[topic, p] for topic, p in held if topic == name) for name in SECRET)
    assert await world.read() == held
    assert records == sum(map(len, held.values()))
    found = await verify(store)
    assert (found.faults, found.lacks, found.unnamed, found.records) == ((), 0, 0, records)


async def test_bodies_headers_and_states_wait_until_their_epoch_is_announced_final():
    world = await archived(objects.memory())
    await world.fill()
    held, found = world.written(), await world.read()
    assert all(found[place] == held[place] for place in held if place[0] not in SECRET)
    assert not any(found[place] for place in held if place[0] in {HEADERS.name, BUNDLES.name})
    ends = sorted(BundleHeader.decode(m.header).window_end_ms for m in world.log.headers().values())
    for count, _ in enumerate(ends, 1):
        world.finals = {"coins": set(ends[:count])}
        await world.fill()
        found = await world.read()
        said = [record.value for place, records in found.items() if place[0] == HEADERS.name for record in records]
        headers = [BundleHeader.decode(_header(value).header) for value in said]
        assert sorted(header.window_end_ms for header in headers) == ends[:count]
    assert await world.read() == held
    assert (await verify(world.store)).faults == ()


async def test_of_a_state_nothing_is_archived_before_the_epoch_of_its_manifest_is_final():
    world = await archived(objects.memory())
    ends = sorted(BundleHeader.decode(m.header).window_end_ms for m in world.log.headers().values())
    world.finals = {"coins": set(ends[:2])}
    await world.fill()
    found = await world.read()
    last = {}
    for (topic, partition), records in found.items():
        if topic == MANIFESTS.name:
            for record in records:
                stage, upto = (manifest := _manifest(record.value)).stage, manifest.to_offset
                last[stage, partition] = max(last.get((stage, partition), 0), upto)
    for stage, topic in STATE.items():
        for partition in range(lanes.PARTITIONS):
            state = found[topic.name, partition]
            assert len(state) == last.get((stage, partition), 0), "exactly the states of what is final"
    assert any(records for (topic, _), records in found.items() if topic == MANIFESTS.name)
    assert await world.read() != world.written()


async def test_a_round_at_a_time_a_leader_at_a_time_comes_to_the_same(store):
    world = await archived(store)
    world.everything_is_old()
    for _ in range(200):
        collector = await world.opened(round_bytes=2000)
        more = (await collector.round()).more
        await collector.close()
        if not more:
            break
    assert await world.read() == world.written()
    assert (await verify(store)).faults == ()


class Breaking:
    """Storage that fails at one of its writes: before it, or after it was done."""

    def __init__(self, store, at, *, done):
        self.store, self.at, self.done, self.writes = store, at, done, 0
        self.address = store.address
        self.bare, self.get, self.list = store.bare, store.get, store.list

    async def _write(self, write, name, value):
        self.writes += 1
        breaks = self.writes == self.at
        if breaks and not self.done:
            raise Unavailable("broken")
        result = await write(name, value)
        if breaks:
            raise Unavailable("broken behind it")
        return result

    async def create(self, name, value):
        return await self._write(self.store.create, name, value)

    async def put(self, name, value):
        return await self._write(self.store.put, name, value)


@pytest.mark.parametrize("done", [False, True])
async def test_a_crash_at_any_write_leaves_an_archive_that_is_sound_and_goes_on(done):
    at, broke = 0, True
    while broke:
        at += 2
        store = objects.memory()
        world = await archived(store)
        world.everything_is_old()
        world.store = Breaking(store, at, done=done)
        broke = False
        try:
            await world.fill(round_bytes=20_000)
        except Unavailable:
            broke = True
        world.store = store
        if broke and at > 2:
            faults = (await verify(store)).faults if await store.get("log/000000000000.json") else ()
            assert faults == () or faults == ("log/head.json: it is missing",), (at, faults)
        await world.fill(round_bytes=20_000)
        assert await world.read() == world.written(), at
        assert (await verify(store)).faults == (), at
    assert at > 20, "it was broken at many places"


async def test_who_is_not_the_newest_writer_any_more_is_refused():
    world = await archived(objects.memory())
    old = await world.opened()
    new = await world.opened()
    with pytest.raises(Fenced, match="another process has written"):
        await old.round()
    await new.round()
    await world.fill()
    assert (await verify(world.store)).faults == ()


async def test_a_writer_that_opens_again_says_nothing_new():
    world = await archived(objects.memory())
    collector = await world.opened()
    for _ in range(3):
        await collector.close()
        await collector.open(DEPLOYMENT)
    assert await log_chain(world.store).count() == 1
    await collector.round()
    await collector.open(DEPLOYMENT)
    assert await log_chain(world.store).count() == 2
    await (await world.opened()).close()
    assert await log_chain(world.store).count() == 3
    world.everything_is_old()
    with pytest.raises(Fenced, match="another process has written"):
        await collector.round()


async def test_an_archive_of_another_deployment_is_refused():
    world = await archived(objects.memory())
    await world.fill()
    other = Deployment(b"x" * 32, DEPLOYMENT.control_key, 2)
    with pytest.raises(NoArchive, match=r"genesis hash 6767.* not 7878"):
        await world.collector().open(other)
    await check_identity(world.store, DEPLOYMENT)


async def test_another_cluster_begins_another_incarnation_and_the_old_one_stays():
    world = await archived(objects.memory())
    world.everything_is_old()
    await world.fill()
    first = await newest(world.store)
    before = world.written()
    world.log = (await Archived(world.store).of(lanes.season(2, 7).records)).log
    world.everything_is_old()
    await world.fill()
    assert await world.read() == world.written() != before
    both = [each async for each in incarnations(world.store)]
    assert [each.cluster for each in both] == [world.broker.cluster_id, first.cluster]
    where = TopicPartition(RAW.name, LANE)
    assert both[1].end(where) == first.end(where)
    assert (await both[1].read(where, 0)).records[0] == before[where][0]
    assert (await verify(world.store)).faults == ()


async def test_what_kafka_has_lost_before_it_was_archived_is_a_gap_that_is_counted():
    world = await archived(objects.memory())
    await world.say(10)
    await world.fill()
    end = len(world.broker.log(RAW.name, 0))
    await world.say(10)
    world.broker.truncate(RAW.name, 0, end + 4)
    collector = await world.opened()
    assert (await collector.round()).lacks == 4
    assert (await collector.round()).lacks == 4
    where, archive = TopicPartition(RAW.name, 0), await newest(world.store)
    assert (await archive.read(where, end + 4)).records[0].value == b"4"
    with pytest.raises(OffsetsGone, match=f"offset {end} is gone"):
        await archive.read(where, end)
    found = await verify(world.store)
    assert (found.faults, found.lacks) == ((), 4)


async def test_a_log_that_has_lost_its_end_is_not_archived_on():
    world = await archived(objects.memory())
    await world.fill()
    log = world.broker.topic(RAW.name).logs[LANE]
    log.records, log.end_offset = log.records[:2], 2
    collector = await world.opened()
    with pytest.raises(OffsetsGone):
        await collector.round()


async def test_how_long_the_oldest_waits_is_said_by_topic():
    world = await archived(objects.memory())
    collector = await world.opened()
    world.log.clock.advance(30_000)
    done = await collector.round()
    assert done.waits_ms[RAW.name] == 0
    assert done.waits_ms[HEADERS.name] > 30_000
    assert done.records > 0
    world.log.clock.advance(LATE_MS + 200_000)
    done = await collector.round()
    assert set(done.waits_ms.values()) == {0}


async def test_large_records_make_several_pieces_of_bounded_size():
    world = await Archived(objects.memory()).of(lanes.season(1).records)
    for number in range(300):
        await world.broker.producer().send([Produce(RAW.name, 1, b"k", bytes([number % 256]) * 60_000)])
    collector = await world.opened(round_bytes=3 << 20)
    rounds = 1
    while (await collector.round()).more:
        rounds += 1
    assert rounds > 2
    found = await world.read()
    assert found[RAW.name, 1] == world.broker.log(RAW.name, 1)
