"""Both depths say what the live stages said, wherever they are stopped, and go on from what they kept."""

import asyncio
import random
from functools import partial

import lanes_world as world
import msgspec
import pytest
from lanes_fleet import Fleet, Instance
from lanes_toy import Coins, OtherCoins
from m0_signer.bundle_depth import BundleDepth
from m0_signer.depth import StartAgain
from m0_signer.kept import KeptStates
from m0_signer.published import PublishedStates
from m0_signer.raw_depth import RawDepth
from m0common.errors import OffsetsGone
from m0common.ids import Lane
from m0common.messages import LaneMessage
from m0common.stream.broker import TopicPartition
from m0common.stream.core import Rewind
from m0common.stream.lane_reader import LaneReader
from m0common.topics import PREDICTIONS, RAW
from m0lanes.generations import lanes_of, partition_of
from m0lanes.stages import Heart
from m0replay.bundle_behind import bundle_state, turn_behind
from signer_crew import in_memory
from signer_log import HEART, PARTITIONS, Live, Stage


async def nothing(_catalog):
    return PublishedStates(False, [])


class Machine:
    """One signer's depth on a broker; `start` again on the same file is a restart after kill -9."""

    def __init__(
        self, database, stage, kind, published=nothing, catalogs=("coins",), heart=HEART, launch=in_memory, workers=2
    ):
        self.database = database
        self.launch, self.workers = launch, workers
        self.stage, self.kind, self.published, self.catalogs = stage, kind, published, catalogs
        self.heart = heart
        self.said = {}

    async def start(self):
        await self.stop()
        self._make()
        await self._begin()

    def _make(self):
        if self.kind == "raw":
            self.depth = RawDepth(self.heart, self.launch, self.workers, self.database, self.catalogs, self.published)
        else:
            self.depth = BundleDepth(self.heart, self.stage.broker, self.database, self.catalogs, self.published)

    async def _begin(self):
        where = [TopicPartition(self.depth.topic, p) for p in range(PARTITIONS)]
        self.consumer = self.stage.broker.consumer()
        begins, ends = await self.consumer.begin_offsets(where), await self.consumer.end_offsets(where)
        self.next = await self.depth.start(begins, ends)
        self.take(self.depth.undecided())
        await self.consumer.assign(self.next)

    def take(self, headers):
        for header in headers:
            assert self.said.setdefault(header.epoch_id, header.header) == header.header

    async def read(self, limit=1 << 30):
        while limit > 0:
            records = await self.consumer.getmany(min(limit, 7), 0)
            for record in records:
                self.take(await self.depth.feed(record))
                self.next[TopicPartition(record.topic, record.partition)] = record.offset + 1
            try:
                self.take(await self.depth.catch_up(self.next))
            except StartAgain:
                await self._begin()
                continue
            limit -= len(records)
            if not records and not self.depth.works:
                return
            await asyncio.sleep(0)

    async def stop(self):
        if hasattr(self, "depth"):
            await self.depth.stop()


@pytest.fixture(scope="module")
def live():
    return Live(world.season(6).records)


@pytest.fixture(scope="module")
def long():
    return Live(world.season(14).records)


def expected(live):
    return {message.epoch_id: message.header for message in live.headers}


async def machine(database, kind, live, **options):
    stage = Stage()
    await stage.prepare()
    stage.publish(live.raw)
    stage.publish(live.predictions)
    return Machine(database, stage, kind, **options)


@pytest.mark.parametrize("kind", ["raw", "bundle"])
@pytest.mark.parametrize("seed", range(6))
async def test_a_depth_that_is_killed_and_saves_at_any_moment_says_what_the_stages_said(database, live, kind, seed):
    rng = random.Random(seed)
    one = await machine(database, kind, live)
    await one.start()
    for _ in range(12):
        await one.read(rng.randrange(40))
        if rng.random() < 0.5:
            await one.depth.save(one.next)
        if rng.random() < 0.4:
            await one.start()
    await one.read()
    assert one.said == expected(live)
    assert one.depth.notes() is None


@pytest.mark.parametrize("kind", ["raw", "bundle"])
async def test_a_depth_without_the_release_of_a_lane_says_what_to_install(database, live, kind):
    without = Heart(world.DEPLOYMENT, {world.OTHER_RELEASE: OtherCoins()}, bytes([9]) * 32)
    one = await machine(database, kind, live, heart=without, launch=partial(in_memory, without))
    for _ in range(2):  # and so behind a restart
        await one.start()
        await one.read()
        await one.depth.save(one.next)
        assert one.said == {}
        release = world.COINS_RELEASE.hex()
        assert one.depth.notes() == f"install release {release} (catalog coins): it is not signed here"


@pytest.mark.parametrize("kind", ["raw", "bundle"])
async def test_an_epoch_that_was_computed_and_not_decided_is_still_known_after_a_restart(database, live, kind):
    one = await machine(database, kind, live)
    await one.start()
    await one.read()
    await one.database.write([one.depth.decided("coins", live.headers[0].epoch_id)])
    await one.depth.save(one.next)
    one.said.clear()
    await one.start()
    assert sorted(one.said) == sorted(expected(live))[1:]
    ends = await one.consumer.end_offsets(list(one.next))
    assert sum(ends.values()) - sum(one.next.values()) < sum(ends.values()) / 3  # held events are read again


async def test_saving_writes_what_changed_and_not_the_whole_state(database, live):
    one = await machine(database, "raw", live)
    await one.start()
    await one.read()
    await one.depth.save(one.next)
    rows = (await one.database.read("SELECT count(*) FROM entity"))[0][0]
    before = (await one.database.read("SELECT total_changes()"))[0][0]
    record = world.season(7).records[len(world.season(6).records)]
    await one.depth.feed(record)
    await one.depth.save(one.next)
    changes = (await one.database.read("SELECT total_changes()"))[0][0] - before
    assert rows > 60
    assert changes < rows / 2


async def test_a_damaged_state_is_computed_again(database, live):
    one = await machine(database, "raw", live)
    await one.start()
    await one.read(60)
    await one.depth.save(one.next)
    await one.database.write([("UPDATE entity SET value = x'00' WHERE stage = 2", ())])
    await one.start()
    assert set(one.next.values()) == {0}
    await one.read()
    assert one.said == expected(live)
    await one.depth.save(one.next)
    assert (await KeptStates(one.database, RAW.name).states())["coins"]


async def test_of_another_depth_nothing_is_gone_on_from(database, live):
    one = await machine(database, "raw", live)
    await one.start()
    await one.read()
    await one.depth.save(one.next)
    one.kind = "bundle"
    await one.start()
    assert await KeptStates(one.database, PREDICTIONS.name).states() == {}
    await one.read()
    assert one.said == expected(live)


def lane_by_lane(live):
    """The predictions of each lane after another, so that one is far ahead of the next."""
    lanes = sorted({partition_of(group, PARTITIONS) for group in world.GROUPS})
    chain_lane = {lane: [] for lane in lanes}
    for record in live.predictions:
        chain_lane[msgspec.msgpack.decode(record.value, type=LaneMessage).partition].append(record)
    return [record for lane in lanes for record in chain_lane[lane]]


@pytest.mark.parametrize("seed", range(3))
async def test_lanes_far_ahead_of_others_are_read_again_behind_them(database, long, seed):
    stage = Stage()
    await stage.prepare()
    stage.publish(lane_by_lane(long))
    one = Machine(database, stage, "bundle")
    await one.start()
    rng = random.Random(seed)
    for _ in range(40):
        await one.read(rng.randrange(60))
        if seed and rng.random() < 0.3:
            await one.depth.save(one.next)
        if seed and rng.random() < 0.2:
            await one.start()
    await one.read()
    for _ in range(20):  # the readers of lanes go on by themselves
        one.take(await one.depth.catch_up(one.next))
    assert one.said == expected(long)
    assert one.depth.notes() is None


class GoesBack:
    """A core that goes back to the beginning of the log at the third message that it is given."""

    def __init__(self):
        self.fed, self.joined = [], []

    def feed(self, record, lane):
        self.fed.append(record.offset)
        if len(self.fed) == 3:
            yield Rewind(lane, 0)

    def join(self, lane):
        self.joined.append(lane)


async def test_a_lane_that_goes_back_is_given_nothing_that_was_read_behind_that(database, live):
    stage = Stage()
    await stage.prepare()
    stage.publish(live.predictions)
    one = Machine(database, stage, "bundle")
    await one.start()
    where = TopicPartition(PREDICTIONS.name, live.predictions[0].partition)
    lane, ends = Lane("coins", where.partition), await stage.broker.watermarks([where])
    core = one.depth._core = GoesBack()
    one.depth._readers[lane] = LaneReader(stage.broker, where, 0, 500)
    await one.depth.catch_up(ends)
    assert core.fed == [0, 1, 2]
    while not core.joined:
        await one.depth.catch_up(ends)
    assert core.fed[3:] == list(range(ends[where]))


async def test_a_lane_whose_messages_are_gone_while_it_waits_is_not_passed_over(database, long):
    stage = Stage()
    await stage.prepare()
    records = lane_by_lane(long)
    stage.publish(records)
    one = Machine(database, stage, "bundle")
    await one.start()
    stage.broker.truncate(PREDICTIONS.name, records[0].partition, len(records) - 20)
    with pytest.raises(OffsetsGone):
        await one.read()


@pytest.mark.parametrize("kind", ["raw", "bundle"])
async def test_a_state_that_the_log_does_not_reach_back_to_makes_the_catalog_abstain_and_says_so(database, live, kind):
    one = await machine(database, kind, live)
    await one.start()
    await one.read(40)
    await one.depth.save(one.next)
    for topic in (RAW.name, PREDICTIONS.name):
        for partition in range(PARTITIONS):
            one.stage.broker.truncate(topic, partition, 1 << 30)
    await one.start()
    assert "abstains" in one.depth.notes()
    await one.read()
    assert sorted(one.said) == [message.epoch_id for message in live.headers[: len(one.said)]]
    assert len(one.said) < len(live.headers)


@pytest.mark.parametrize("kind", ["raw", "bundle"])
async def test_a_catalog_without_any_final_epoch_begins_where_the_log_does(database, live, kind):
    one = await machine(database, kind, live, catalogs=("coins", "other"))
    one.stage.broker.truncate(RAW.name, 0, 1 << 30)
    one.stage.broker.truncate(PREDICTIONS.name, (live.predictions[0].partition + 1) % PARTITIONS, 1 << 30)
    await one.start()
    await one.read()
    assert one.said == expected(live)


class Rebased:
    """A log whose lanes were rebased to an older epoch, and what the stages made of it."""

    def __init__(self, epochs_behind, heart=HEART, release=world.COINS_RELEASE):
        log = world.season(4)
        self.fleet = Fleet(HEART)
        self.fleet.write(log.records)
        self.fleet.run_until_idle()
        if heart is not HEART:
            self.fleet.instances += [Instance(heart, n, self.fleet.topics, self.fleet.rng) for n in (1, 2, 3, 4)]
        since = len(log.records)
        self.lanes = lanes_of(log.payload(1))
        for lane in self.lanes:
            roots = self.fleet.topics.roots(lane, world.FIRST + 2)
            log.rebase(lane, world.FIRST + 2, *roots, release=release.hex())
        world.go_on(log, range(4, 4 + epochs_behind))
        self.fleet.write(log.records[since:])
        self.fleet.run_until_idle()
        self.raw, self.since = log.records, since
        self.final = []

    def headers(self):
        return {epoch_id: header for (_, epoch_id), header in self.fleet.topics.headers().items()}

    async def published(self, _catalog):
        """The states behind the newest final epoch."""
        if not self.final:
            return PublishedStates(False, [])
        header = self.fleet.topics.message(self.final[-1])
        lives = {lane.partition: lane.life for lane in header.lanes}
        known = [
            m
            for m in self.fleet.topics.manifests
            if m.epoch_id == header.epoch_id and m.stage < 4 and m.life == lives[m.partition]
        ]
        states = [self.fleet.topics.restore(manifest) for manifest in known]
        return PublishedStates(True, [*states, bundle_state(HEART, header, states, turn_behind(header, states))])


async def test_a_signer_that_bundles_says_what_to_install_behind_a_rebase_to_a_release_that_is_not_here(database):
    edited = bytes([13]) * 32
    made = Rebased(3, Heart(world.DEPLOYMENT, {edited: Coins()}, bytes([4]) * 32), edited)
    stage = Stage()
    await stage.prepare()
    stage.publish(r for p in range(PARTITIONS) for r in made.fleet.topics.log(PREDICTIONS.name, p))
    one = Machine(database, stage, "bundle")
    await one.start()
    await one.read()
    assert one.said == {epoch: header for epoch, header in made.headers().items() if epoch <= world.FIRST + 3}
    assert one.depth.notes() == f"install release {edited.hex()} (catalog coins): it is not signed here"
    assert max(made.headers()) == world.FIRST + 6


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_signer_that_computes_from_raw_goes_on_behind_a_rebase_once_an_epoch_of_the_new_lives_is_final(
    database, monkeypatch, restarts
):
    monkeypatch.setattr("m0_signer.raw_depth.LOOK_S", 0.0)
    made = Rebased(4)
    stage = Stage()
    await stage.prepare()
    one = Machine(database, stage, "raw", made.published)
    stage.publish(made.raw[: made.since])
    await one.start()
    await one.read()
    before = set(one.said)
    assert before
    assert one.depth.notes() is None
    made.final = [max(before)]
    await one.depth.save(one.next)
    stage.publish(made.raw[made.since :])
    await one.read()
    assert "rebased" in one.depth.notes()
    assert set(one.said) == before, "nothing of an old life is signed behind the rebase"
    if restarts:
        await one.depth.save(one.next)
        await one.start()
        await one.read()
        assert "rebased" in one.depth.notes()
    made.final.append(world.FIRST + 5)
    await one.read()
    assert one.depth.notes() is None
    assert one.said == {epoch: header for epoch, header in made.headers().items() if epoch in {*before, *one.said}}
    assert set(one.said) - before == {epoch for epoch in made.headers() if epoch > world.FIRST + 5}
    await one.start()
    await one.read()
    assert one.depth.notes() is None


EDITED = bytes([13]) * 32
UPGRADED = Heart(world.DEPLOYMENT, {EDITED: Coins()}, bytes([4]) * 32)


@pytest.mark.parametrize("behind", ["all that the old code said", "half of it", "nothing"])
async def test_a_signer_that_bundles_is_upgraded_and_goes_on_behind_the_rebase_to_its_release(database, behind):
    made = Rebased(3, UPGRADED, EDITED)
    said = [r for p in range(PARTITIONS) for r in made.fleet.topics.log(PREDICTIONS.name, p)]
    stage = Stage()
    await stage.prepare()
    old = [r for r in said if msgspec.msgpack.decode(r.value, type=LaneMessage).release != EDITED]
    assert old == said[: len(old)]
    stage.publish(old)
    one = Machine(database, stage, "bundle", made.published)
    if behind != "nothing":
        await one.start()
        await one.read(len(old) // 2 if behind == "half of it" else 1 << 30)
        await one.depth.save(one.next)
    stage.publish(said[len(old) :])
    made.final = [world.FIRST + 3]
    one.heart = UPGRADED
    await one.start()
    await one.read()
    assert one.depth.notes() is None
    assert {epoch for epoch in one.said if epoch > world.FIRST + 3} == set(range(world.FIRST + 4, world.FIRST + 7))
    assert one.said == {epoch: header for epoch, header in made.headers().items() if epoch in one.said}


class Rolled(Rebased):
    """A log whose next generation names another release, and what processes of both made of it."""

    def __init__(self):
        log = world.season(3)
        self.fleet = Fleet(HEART)
        self.fleet.instances += [Instance(UPGRADED, n, self.fleet.topics, self.fleet.rng) for n in (1, 2, 3, 4)]
        log.define(2, release=EDITED.hex())
        log.end(world.FIRST + 3, following=2)
        self.raw, self.since = log.records, len(log.records)
        world.go_on(log, range(4, 8))
        self.fleet.write(log.records)
        self.fleet.run_until_idle()
        self.final = []


@pytest.mark.parametrize("read", [0.0, 0.4, 0.9])
async def test_a_signer_that_computes_from_raw_is_upgraded_before_it_has_read_up_to_the_switch(
    database, monkeypatch, read
):
    monkeypatch.setattr("m0_signer.raw_depth.LOOK_S", 0.0)
    made = Rolled()
    stage = Stage()
    await stage.prepare()
    one = Machine(database, stage, "raw", made.published)
    stage.publish(made.raw[: int(made.since * read)])
    await one.start()
    await one.read()
    await one.depth.save(one.next)
    before = set(one.said)
    one.heart, one.launch = UPGRADED, partial(in_memory, UPGRADED)
    await one.start()
    made.final = [world.FIRST + 2]
    stage.publish(made.raw[int(made.since * read) :])
    await one.read()
    assert one.depth.notes() == f"install release {world.COINS_RELEASE.hex()} (catalog coins): it is not signed here"
    assert set(one.said) == before
    made.final = [world.FIRST + 4]
    await one.read()
    assert one.depth.notes() is None
    assert set(one.said) - before == set(range(world.FIRST + 5, world.FIRST + 8))
    assert one.said == {epoch: header for epoch, header in made.headers().items() if epoch in one.said}
