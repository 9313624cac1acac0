"""States of lanes over a broker: what is written is restored, what is cut or broken gives way to what was before."""

import hashlib
import itertools
import os

import pytest
from broken_bytes import BROKEN
from m0common.canonical import state_digest
from m0common.messages import Manifest, StateBatch, encode
from m0common.stream.broker import TopicPartition
from m0common.stream.records import Produce
from m0common.stream.states import manifests, manifests_at, restore, restore_newest
from m0common.topics import MANIFESTS, ONCE_MAX_BYTES, STATE
from structlog.testing import capture_logs

PARTITIONS = 3
_numbers = itertools.count(1)
ZERO = bytes(32)


def gather(manifest, found):
    """By the words of the manifest's description, entry by entry."""
    newest = {}
    for batch in found:
        own = (batch.catalog, batch.partition, batch.life) == (manifest.catalog, manifest.partition, manifest.life)
        for key, value in batch.entries if own else ():
            if manifest.from_position <= batch.position <= manifest.position:
                newest.setdefault(key, []).append((batch.position, value))
    last = {key: max(said, key=lambda one: one[0])[1] for key, said in newest.items()}
    return {key: value for key, value in last.items() if value is not None}


class Counting:
    """A broker that counts what its consumers deliver, by topic and offset."""

    def __init__(self, broker):
        self._broker, self.delivered = broker, []

    def consumer(self, **options):
        return CountingConsumer(self._broker.consumer(**options), self.delivered)

    async def partitions(self, topic):
        return await self._broker.partitions(topic)

    def of(self, topic):
        return [offset for name, offset in self.delivered if name == topic]


class CountingConsumer:
    def __init__(self, consumer, delivered):
        self._consumer, self._delivered = consumer, delivered

    def __getattr__(self, name):
        return getattr(self._consumer, name)

    async def getmany(self, max_records, timeout_ms):
        records = await self._consumer.getmany(max_records, timeout_ms)
        self._delivered += [(record.topic, record.offset) for record in records]
        return records


class Lane:
    """One lane that makes checkpoints: each says what is given and keeps where it began."""

    def __init__(self, world, producer, stage=1, partition=0, catalog=None):
        self.world, self.producer, self.stage, self.partition = world, producer, stage, partition
        self.catalog = catalog or f"t{os.getpid() % 10_000}-{next(_numbers)}"
        self.state, self.position, self.life, self.start = {}, 0, 0, None

    @property
    def where(self):
        return TopicPartition(STATE[self.stage].name, self.partition)

    async def say(self, entries, position=None):
        """Write a batch; returns where."""
        place = (self.catalog, self.partition, self.life, self.position if position is None else position)
        value = encode(StateBatch(*place, tuple(entries.items())))
        return (await self.producer.send([Produce(*self.where, self.catalog.encode(), value)]))[self.where]

    async def cut(self, changes, *, whole=False, complete=True, epoch_id=None):
        """A checkpoint; returns its manifest."""
        self.position += 1
        self.state |= changes
        self.state = {key: value for key, value in self.state.items() if value is not None}
        where = await self.say(self.state if whole else changes)
        if whole or self.start is None:
            self.start = (self.position, where.first)
        made = Manifest(
            stage=self.stage, catalog=self.catalog, partition=self.partition, life=self.life, generation=1,
            position=self.position, epoch_id=epoch_id, digest=state_digest(self.state.items()), out_seq=0,
            input_offset=0, input_seqs=(), held_from=None, held_end=0, from_position=self.start[0],
            from_offset=self.start[1], to_offset=where.end, release=ZERO, build=ZERO, entities=len(self.state), bytes=0,
        )  # fmt: skip
        if complete:
            await self.write(made)
        return made

    async def write(self, manifest):
        produce = Produce(MANIFESTS.name, self.partition, self.catalog.encode(), encode(manifest))
        return (await self.producer.send([produce]))[TopicPartition(MANIFESTS.name, self.partition)]

    async def trim(self, before):
        await self.world.broker.delete_before({self.where: before})

    async def known(self, broker=None):
        found = await manifests(broker or self.world.broker, [self.partition], self.stage)
        return [manifest for manifest in found if manifest.catalog == self.catalog]

    async def restored(self):
        """The newest state as it is found by who starts."""
        found = await restore_newest(self.world.broker, await self.known(), gather)
        return found[0] if found else None


@pytest.fixture
async def lanes(world):
    """Makes lanes."""
    await world.broker.create_topics([*STATE.values(), MANIFESTS], PARTITIONS)
    producer = world.broker.producer()
    await producer.start()
    yield lambda *args, **options: Lane(world, producer, *args, **options)
    await producer.stop()


async def test_a_lane_goes_on_from_its_newest_checkpoint(lanes):
    lane = lanes()
    assert await lane.restored() is None
    await lane.cut({b"a": b"1", b"b": b"2"})
    await lane.cut({b"a": None, b"c": b"3"})
    newest = await lane.cut({b"b": b"4"})
    found = await lane.restored()
    assert found.manifest == newest
    assert found.entities == lane.state == {b"b": b"4", b"c": b"3"}
    assert found.trie.root == newest.digest


async def test_every_older_manifest_restores_to_what_was_then(world, lanes):
    lane, states = lanes(), {}
    for n in range(5):
        manifest = await lane.cut({b"a": b"%d" % n, b"%d" % n: b"x", b"%d" % (n - 2): None})
        states[manifest.position] = dict(lane.state)
    for manifest in await lane.known():
        assert (await restore(world.broker, manifest, gather)).entities == states[manifest.position]


async def test_a_checkpoint_without_a_manifest_and_late_batches_change_nothing(lanes):
    lane = lanes()
    await lane.cut({b"a": b"1", b"b": b"1"})
    await lane.cut({b"b": None})
    newest = await lane.cut({b"a": b"2"})
    await lane.cut({b"a": b"3"}, complete=False)
    await lane.say({b"a": b"1", b"b": b"1"}, position=1)
    lane.life = 7
    await lane.say({b"a": b"another life"}, position=3)
    found = await lane.restored()
    assert (found.manifest, found.entities) == (newest, {b"a": b"2"})


@pytest.mark.parametrize("broken", BROKEN)
async def test_bytes_on_which_a_decoder_gives_up_cost_a_line_and_the_state_beside_them_is_restored(
    world, lanes, broken
):
    lane = lanes()
    await lane.cut({b"a": b"1"})
    batch = encode(StateBatch(lane.catalog, 0, 0, 1, ((b"a", b"2"),)))
    await lane.producer.send([Produce(*lane.where, b"", broken(batch, lane.catalog))])
    newest = await lane.cut({b"b": b"3"}, epoch_id=7)
    await lane.producer.send([Produce(MANIFESTS.name, 0, b"", broken(encode(newest), lane.catalog))])
    with capture_logs() as logs:
        found = await lane.restored()
        assert newest in await manifests(world.broker, [0])
        assert await manifests_at(world.broker, lane.catalog, 0, 7) == [newest]
    assert (found.manifest, found.entities) == (newest, {b"a": b"1", b"b": b"3"})
    assert {line["event"] for line in logs} == {"not_a_manifest", "not_a_state"}


async def test_an_empty_state_is_restored(lanes):
    lane = lanes()
    await lane.cut({b"a": b"1"})
    await lane.cut({b"a": None})
    assert (await lane.restored()).entities == {}


async def test_a_trimmed_prefix_takes_the_older_manifests_and_leaves_the_newer_ones(world, lanes):
    lane = lanes()
    old = await lane.cut({b"a": b"1"})
    await lane.cut({b"b": b"2"})
    new = await lane.cut({b"a": b"3"}, whole=True)
    await lane.trim(new.from_offset)
    with capture_logs() as logs:
        assert await restore(world.broker, old, gather) is None
    (line,) = [line for line in logs if line["event"] == "state_trimmed"]
    assert (line["lane"], line["position"], line["log_level"]) == (f"{lane.catalog}/0", 1, "warning")
    assert (await restore(world.broker, new, gather)).entities == {b"a": b"3", b"b": b"2"}
    assert (await lane.restored()).manifest == new


async def test_where_the_newest_is_whole_and_makes_no_state_the_one_before_serves_and_the_log_says_why(world, lanes):
    lane = lanes()
    before = await lane.cut({b"a": b"1"})
    await lane.cut({b"a": b"garbage"})

    def unsound(_, entities):
        return "a is garbage" if entities[b"a"] == b"garbage" else None

    with capture_logs() as logs:
        (found,) = await restore_newest(world.broker, await lane.known(), gather, unsound)
    assert (found.manifest, found.entities) == (before, {b"a": b"1"})
    (line,) = [line for line in logs if line["event"] == "state_refused"]
    said = (line["lane"], line["position"], line["reason"], line["log_level"])
    assert said == (f"{lane.catalog}/0", 2, "a is garbage", "error")


async def test_where_the_newest_was_trimmed_or_does_not_have_its_digest_the_one_before_serves(lanes):
    lane = lanes()
    await lane.cut({b"gone": b"1"}, whole=True)
    first = await lane.cut({b"a": b"1"}, whole=True)
    lane.start = (1, first.from_offset - 1)  # as one that goes on from a state which is trimmed below
    await lane.cut({b"a": b"2"})
    wrong = await lane.cut({b"a": b"3"}, whole=True, complete=False)
    await lane.say({b"a": b"not what was said"}, position=wrong.position)
    await lane.trim(first.from_offset)
    digest = hashlib.sha256(b"another").digest()
    await lane.write(Manifest(**{name: getattr(wrong, name) for name in wrong.__struct_fields__} | {"digest": digest}))
    with capture_logs() as logs:
        assert (await lane.restored()).manifest == first
    assert [line["event"] for line in logs if line["event"].startswith("state_")] == [
        "state_incomplete",
        "state_trimmed",
    ]


async def test_a_lane_none_of_whose_manifests_restores_has_no_state_and_the_others_have_theirs(lanes):
    lost, kept = lanes(), lanes()
    manifest = await lost.cut({b"a": b"1"})
    await kept.cut({b"a": b"2"})
    await kept.trim(manifest.to_offset)
    assert await lost.restored() is None
    assert (await kept.restored()).entities == {b"a": b"2"}


async def test_of_one_position_the_last_written_counts_as_a_lane_is_carried_forward(lanes):
    lane = lanes()
    await lane.cut({b"a": b"1"})
    lane.position = 0
    carried = await lane.cut({}, whole=True)
    await lane.trim(carried.from_offset)
    with capture_logs() as logs:
        assert (await lane.restored()).manifest == carried
    assert not [line for line in logs if line["event"].startswith("state_")]


async def test_garbage_in_both_topics_costs_nothing(world, lanes):
    lane = lanes()
    junk = [b"", b"\xff" * 100, encode(StateBatch("other", 0, 0, 0, ()))[:-1], b"\x93\x01\x02\x03"]
    for value in junk:
        await lane.producer.send([Produce(topic, 0, None, value) for topic in (lane.where.topic, MANIFESTS.name)])
        await lane.cut({value: value})
    good = await lane.cut({b"a": b"1"})
    # well formed, and nobody's
    fields = {name: getattr(good, name) for name in good.__struct_fields__}
    for changes in ({"stage": 9}, {"partition": 2}, {"from_offset": 5, "to_offset": 4}, {"from_offset": -3}):
        await lane.write(Manifest(**fields | changes))
    await lane.write(Manifest(**fields | {"position": 1 << 60, "from_offset": 1 << 60, "to_offset": 1 << 61}))
    found = await lane.restored()
    assert found.manifest == good
    assert found.entities == lane.state == {b"a": b"1", **{value: value for value in junk}}


async def test_lanes_of_a_partition_read_every_record_of_their_states_once(world, lanes):
    several = [lanes() for _ in range(4)]
    for n in range(6):
        for lane in several:
            await lane.cut({b"%d" % n: b"x"}, whole=n == 2 and lane is several[0])
    # one that has to fall back, behind what the others read
    await several[3].cut({b"a": b"1"})
    last = await several[3].cut({b"a": b"2"}, complete=False)
    fields = {name: getattr(last, name) for name in last.__struct_fields__}
    await several[3].write(Manifest(**fields | {"digest": ZERO}))
    known = [manifest for lane in several for manifest in await lane.known()]
    broker = Counting(world.broker)
    found = await restore_newest(broker, known, gather)
    assert sorted(r.manifest.catalog for r in found) == sorted(lane.catalog for lane in several)
    read = broker.of(several[0].where.topic)
    assert len(read) == len(set(read)) <= last.to_offset - several[1].start[1]


async def test_only_what_a_lane_needs_is_read(world, lanes):
    """One that stands still, far in front of one that goes on."""
    still, moving = lanes(), lanes()
    await still.cut({b"a": b"1"})
    for n in range(20):
        await moving.cut({b"%d" % n: b"x"}, whole=n == 18)
    known = [*await still.known(), *await moving.known()]
    broker = Counting(world.broker)
    assert len(await restore_newest(broker, known, gather)) == 2
    assert len({*broker.of(still.where.topic)}) <= 3 + 20  # a poll may bring what is behind an end
    if world.kind == "memory":
        assert len(broker.of(still.where.topic)) <= 3 + 20


async def test_stages_and_partitions_do_not_meet(world, lanes):
    one = lanes()
    others = [lanes(1, 1, one.catalog), lanes(2, 0, one.catalog)]
    for n, lane in enumerate([one, *others]):
        await lane.cut({b"a": b"%d" % n})
    known = [manifest for lane in [one, *others] for manifest in await lane.known()]
    found = await restore_newest(world.broker, known, gather)
    assert [(r.manifest.stage, r.manifest.partition, r.entities[b"a"]) for r in found] == [
        (1, 0, b"0"),
        (1, 1, b"1"),
        (2, 0, b"2"),
    ]


async def test_a_message_of_the_largest_size_is_written_and_restored(lanes):
    lane = lanes()
    value = bytes(ONCE_MAX_BYTES - 200)
    await lane.cut({b"a": value})
    assert (await lane.restored()).entities == {b"a": value}


async def test_the_manifests_of_an_epoch_are_found_without_reading_everything(world, lanes):
    stages = [
        lanes(),
    ]
    stages += [lanes(stage, 0, stages[0].catalog) for stage in (2, 3)]
    noise = lanes()
    filler = await noise.cut({b"a": b"1"})
    for _ in range(40):
        values = [Produce(MANIFESTS.name, 0, b"noise", encode(filler))] * 100
        await noise.producer.send(values)
    for epoch in range(30):
        for lane in stages:
            await lane.cut({b"a": b"%d" % epoch}, epoch_id=epoch)
            await lane.cut({b"b": b"%d" % epoch})
    again = await stages[1].cut({}, whole=True, epoch_id=12)
    broker = Counting(world.broker)
    found = await manifests_at(broker, stages[0].catalog, 0, 12)
    assert [(m.stage, m.epoch_id) for m in found] == [(1, 12), (2, 12), (3, 12), (2, 12)]
    assert found[-1] == again
    assert len(broker.delivered) <= 1000
    assert await manifests_at(broker, stages[0].catalog, 0, 12, stages=[2]) == [found[1], found[3]]
    assert len(broker.delivered) <= 2000


async def test_looking_back_for_an_epoch_goes_as_far_as_it_may(world, lanes):
    lane = lanes()
    wanted = await lane.cut({b"a": b"1"}, epoch_id=5)
    filler = encode(await lane.cut({b"a": b"2"}, epoch_id=6))
    for _ in range(35):
        await lane.producer.send([Produce(MANIFESTS.name, 0, b"", filler)] * 100)
    broker = Counting(world.broker)
    assert await manifests_at(broker, lane.catalog, 0, 5, stages=[1]) == [wanted]
    assert 3500 < len(set(broker.delivered)) <= 3 * 3500 + 1000
    broker = Counting(world.broker)
    assert await manifests_at(broker, lane.catalog, 0, 5, stages=[1], most=1200) == []
    assert len(set(broker.delivered)) <= 1200 + 1000
    assert await manifests_at(world.broker, lane.catalog, 0, 4, stages=[1], most=1200) == []
