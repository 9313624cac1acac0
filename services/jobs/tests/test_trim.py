"""State is cut off only where nothing promised needs it, whatever happened before."""

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from m0_jobs import carry, trim
from m0_jobs.trim import Kept, LaneKey
from m0_jobs.trimmer import Trimmer
from m0common.canonical.trie import state_digest
from m0common.errors import InvalidValue
from m0common.messages import Manifest, StateBatch, encode
from m0common.stream.broker import TopicPartition
from m0common.stream.records import Produce
from m0common.topics import MANIFESTS, ONCE_MAX_BYTES, STATE
from m0lanes.checkpoints import gathered
from prometheus_client import REGISTRY
from trim_world import HORIZON_MS, UNBORN, Lane, World, digest

STATE_1 = TopicPartition(STATE[1].name, 0)
MANIFESTS_0 = TopicPartition(MANIFESTS.name, 0)
A, B = LaneKey(1, "a", 0), LaneKey(1, "b", 0)


def row(lane, window_end_ms, from_offset, offset, *, life=0, position=1):
    return Kept(lane, life, position, window_end_ms, from_offset, from_offset + 5, offset)


def cut(*rows):
    return trim.cut_points(rows, trim.newest_windows(rows), HORIZON_MS)


def test_what_is_younger_than_the_horizon_is_kept_and_nothing_older():
    rows = [row(A, 1000 + 100 * i, 10 * i, i, position=i) for i in range(20)]
    assert cut(*rows) == {STATE_1: 100, MANIFESTS_0: 10}  # 2900 - 1000 < 2000


def test_the_newest_of_every_lane_is_kept_whatever_its_age():
    rows = [row(A, 9000, 90, 9, position=9), row(B, 10, 30, 3), row(B, 0, 20, 2, position=0)]
    assert cut(*rows) == {STATE_1: 30, MANIFESTS_0: 3}


def test_the_newest_life_counts_before_the_furthest_position():
    rows = [row(A, 9000, 90, 9), row(B, 10, 30, 3, position=50), row(B, 20, 40, 4, life=1)]
    assert cut(*rows) == {STATE_1: 40, MANIFESTS_0: 4}


def test_of_copies_of_one_state_the_last_written_is_the_newest():
    rows = [row(A, 9000, 90, 9), row(B, 10, 30, 3), row(B, 10, 80, 8)]
    assert cut(*rows) == {STATE_1: 80, MANIFESTS_0: 8}


def test_partitions_and_stages_have_points_and_times_of_their_own():
    other, later = LaneKey(1, "a", 1), LaneKey(2, "a", 0)
    rows = [row(A, 9000, 90, 9), row(other, 10, 30, 3), row(later, 8500, 70, 7)]
    assert cut(*rows) == {
        STATE_1: 90,
        TopicPartition(STATE[2].name, 0): 70,
        MANIFESTS_0: 7,
        TopicPartition(STATE[1].name, 1): 30,
        TopicPartition(MANIFESTS.name, 1): 3,
    }


def test_a_lane_stands_still_when_the_others_of_its_partition_have_moved_on_by_a_horizon():
    moving = [row(A, 1000 * i, 10 * i, i, position=i) for i in range(5, 9)]
    still = row(B, 4000, 35, 4)
    rows = [*moving, still]
    assert trim.standing(rows, trim.newest_windows(rows), HORIZON_MS) == [still]
    for fine in (row(B, 8500, 35, 8), row(B, 0, 35, 9)):  # young, and written lately between two markers
        rows = [*moving, fine]
        assert trim.standing(rows, trim.newest_windows(rows), HORIZON_MS) == []
    assert trim.standing([still], trim.newest_windows([still]), HORIZON_MS) == []


def test_a_manifest_whose_range_the_log_does_not_hold_is_not_whole():
    rows = [row(A, 1, 10, 1), row(A, 2, 20, 2), row(A, 3, 30, 3)]
    assert trim.whole(rows, {STATE_1: 11}, {STATE_1: 34}) == [rows[1]]


def manifest_of(state, **changes):
    base = Manifest(
        1, "a", 0, 0, 1, 7, None, state_digest(state.items()), 1, 0, (), None, 0, 3, 0, 9, bytes(32), bytes(32),
        len(state), 0,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


@pytest.mark.parametrize(
    "changes", [{"stage": 0}, {"stage": 5}, {"partition": 1}, {"from_offset": -1}, {"from_offset": 10}]
)
def test_a_manifest_that_no_stage_writes_is_refused(changes):
    with pytest.raises(InvalidValue):
        trim.kept(manifest_of({}, **changes), 0, 5)


@given(
    st.dictionaries(st.binary(min_size=1, max_size=40), st.binary(max_size=300), max_size=40),
    st.integers(min_value=700, max_value=3000),
)
def test_a_copy_holds_the_same_state_in_messages_of_bounded_size(state, max_bytes):
    manifest = manifest_of(state)
    values = carry.batches(manifest, state, max_bytes)
    assert values
    assert all(len(value) <= max_bytes for value in values)
    batches = [msgspec.msgpack.decode(value, type=StateBatch) for value in values]
    assert {batch.position for batch in batches} == {manifest.position}
    copy = carry.carried(manifest, 100, 100 + len(batches))
    assert (copy.from_position, copy.from_offset, copy.to_offset) == (7, 100, 100 + len(batches))
    assert (copy.digest, copy.position, copy.input_offset) == (manifest.digest, 7, manifest.input_offset)
    assert gathered(copy, batches) == state


def test_the_largest_entities_fit():
    state = {bytes([i]) * 200: bytes(64 << 10) for i in range(9)}
    values = carry.batches(manifest_of(state), state)
    assert len(values) > 1
    assert max(map(len, values)) <= ONCE_MAX_BYTES


LANES = [(1, "a", 0), (1, "b", 0), (2, "a", 0), (4, "a", 1), (1, "c", 1)]
NUMBERS, AMOUNTS = st.integers(0, len(LANES) - 1), st.integers(0, 4)
OFTEN = ["mark", "mark", "mark", "mark", "trim", "trim", "time", "time"]
STEPS = st.tuples(
    st.sampled_from([*OFTEN, "cut", "begin", "crash", "life", "fork", "zombie", "zombie"]), NUMBERS, AMOUNTS
)


async def play(steps):
    world = World([Lane(*place) for place in LANES])
    await world.start()
    trimmer = Trimmer(world.broker, HORIZON_MS, world.no_life)
    zombies = {}
    for step, which, amount in steps:
        if step == "time":
            world.now_ms += (1 + amount) * HORIZON_MS // 4
            continue
        if step == "trim":
            await trimmer.run()
            world.check()
            for number, (lane, manifest) in list(world.pending.items()):
                await world.save_manifest(lane, manifest)
                del world.pending[number]
            world.check()
            continue
        lane = world.lanes[which]
        if which in world.pending and step != "zombie":
            await world.save_manifest(*world.pending.pop(which))
        match step:
            case "mark":
                lane.work(amount)
                lane.window_end_ms = world.now_ms
                await world.checkpoint(lane)
            case "cut":
                lane.work(amount)
                await world.checkpoint(lane, marker=False)
            case "begin":
                lane.work(amount)
                lane.window_end_ms = world.now_ms
                world.pending[which] = lane, await world.save_state(lane)
            case "crash":
                before = world.twin(lane)
                lane.work(amount)
                await world.save_state(lane)
                world.lanes[which] = before
            case "life":
                lane.life, lane.position, lane.begun, lane.touched = lane.life + 1, 0, [], {}
                await world.checkpoint(lane)
            case "fork":
                zombies[which] = world.twin(lane)
            case "zombie" if which in zombies:
                zombies[which].work(amount)
                await world.checkpoint(zombies[which])
    await trimmer.run()
    world.check()
    return world


@settings(max_examples=100)
@given(st.lists(STEPS, min_size=40, max_size=120))
def test_whatever_lanes_zombies_and_trims_do_every_promised_manifest_restores(steps):
    asyncio.run(play(steps))


async def test_a_lane_that_stands_still_is_carried_once_a_horizon_and_its_old_state_goes():
    world = World([Lane(1, "a", 0), Lane(1, "b", 0)])
    await world.start()
    trimmer = Trimmer(world.broker, HORIZON_MS, world.no_life)
    moving, still = world.lanes
    still.work(20)
    still.window_end_ms = world.now_ms
    await world.checkpoint(still)
    sizes, copies = [], []
    for turn in range(40):
        world.now_ms += HORIZON_MS // 5
        moving.work(3)
        moving.window_end_ms = world.now_ms
        await world.checkpoint(moving)
        await trimmer.run()
        world.check()
        copies.append(sum(m.catalog == "b" for _, m in world.manifests()))
        sizes.append(len(world.broker.log(STATE[1].name, 0)))
        if turn > 20:
            assert await world.begin(STATE_1) > 0
    newest = [m for _, m in world.manifests() if m.catalog == "b"][-1]
    assert world.restore(newest) == still.state
    assert newest.position == still.position
    assert max(sizes[10:]) <= 30  # bounded, though one lane never said anything again
    still.work(5)  # it wakes, with ranges in memory that are gone
    still.window_end_ms = world.now_ms
    await world.checkpoint(still)
    world.check()


async def test_a_state_that_does_not_restore_holds_its_partition_and_stops_nothing_else():
    world = World([Lane(1, "a", 0), Lane(1, "b", 0), Lane(1, "c", 1)])
    await world.start()
    broken = world.lanes[1]
    broken.work(9)
    manifest = await world.save_state(broken)
    await world.producer.send(
        [Produce(*broken.manifest_place, b"lane", encode(msgspec.structs.replace(manifest, digest=bytes(32))))]
    )
    await world.producer.send([Produce(*MANIFESTS_0, None, value) for value in (b"", b"\xc1", b"\x91\xa1\xff")])
    trimmer = Trimmer(world.broker, HORIZON_MS, world.no_life)
    for _ in range(20):
        world.now_ms += HORIZON_MS // 4
        for lane in (world.lanes[0], world.lanes[2]):
            lane.work(1)
            lane.window_end_ms = world.now_ms
            await world.checkpoint(lane)
        await trimmer.run()
    assert await world.begin(STATE_1) == 0
    assert await world.begin(TopicPartition(STATE[1].name, 1)) > 0


async def test_a_manifest_of_a_life_that_nobody_began_ages_nothing_and_is_no_newest():
    world = World([Lane(1, "a", 0)])
    await world.start()
    (lane,) = world.lanes
    lane.work(3)
    lane.window_end_ms = world.now_ms
    manifest = await world.save_state(lane)
    await world.save_manifest(lane, manifest)
    changes = {"digest": state_digest([]), "from_offset": manifest.to_offset, "entities": 0}  # it restores
    forged = msgspec.structs.replace(manifest, life=UNBORN, window_end_ms=world.now_ms + 9 * HORIZON_MS, **changes)
    await world.producer.send([Produce(*MANIFESTS_0, None, encode(forged))])
    trimmer = Trimmer(world.broker, HORIZON_MS, world.no_life)
    for _ in range(3):
        await trimmer.run()
        world.check()
    assert len(world.manifests()) == 2  # neither cut nor carried forward


async def test_nothing_is_cut_of_a_partition_while_the_newest_state_of_a_lane_in_it_does_not_restore():
    world = World([Lane(1, "a", 0), Lane(2, "b", 0), Lane(1, "c", 1)])
    await world.start()
    trimmer = Trimmer(world.broker, HORIZON_MS, world.no_life)

    async def turn(bent=None):
        world.now_ms += HORIZON_MS // 4
        for lane in world.lanes:
            lane.work(3)
            lane.window_end_ms = world.now_ms
            manifest = await world.save_state(lane)
            changes = {"digest": digest("bent")} if lane is bent else {}
            await world.save_manifest(lane, msgspec.structs.replace(manifest, **changes))
        await trimmer.run()
        held = REGISTRY.get_sample_value("m0_jobs_held_partitions")
        places = [TopicPartition(STATE[1].name, p) for p in range(2)] + [MANIFESTS_0]
        return held, [await world.begin(place) for place in places]

    for _ in range(12):
        held, before = await turn()
    assert held == 0
    assert trimmer.notes() is None
    assert all(before)
    for _ in range(8):
        held, after = await turn(bent=world.lanes[1])
    assert held == 1
    assert trimmer.notes() == (
        "nothing of partition 0 is cut, since the newest state of lane b/0 in m0.state.feature.v1 does not restore: "
        "restore the topic, or m0 lane rebase b"
    )
    assert (after[0], after[2]) == (before[0], before[2])  # the other stages' states of that marker too
    assert after[1] > before[1]
    for _ in range(2):
        held, then = await turn()
    assert held == 0
    assert trimmer.notes() is None
    assert all(later > earlier for later, earlier in zip(then, after, strict=True))


async def test_a_first_checkpoint_on_its_way_is_not_cut_away():
    world = World([Lane(1, "a", 0), Lane(1, "b", 0)])
    await world.start()
    moving, new = world.lanes
    trimmer = Trimmer(world.broker, HORIZON_MS, world.no_life)
    moving.work(3)
    await world.checkpoint(moving)
    await trimmer.run()
    manifest = await world.save_state(new)
    for _ in range(5):
        world.now_ms += HORIZON_MS
        moving.work(3)
        moving.window_end_ms = world.now_ms
        await world.checkpoint(moving)
    await trimmer.run()
    assert manifest.from_offset >= await world.begin(STATE_1)
    await world.producer.send([Produce(*new.manifest_place, b"lane", encode(manifest))])
    world.check()
    await trimmer.run()
    world.check()


async def test_nothing_is_cut_that_is_not_archived():
    world, archived = World([Lane(1, "a", 0)]), {}
    await world.start()
    trimmer = Trimmer(world.broker, HORIZON_MS, world.no_life, lambda: archived)
    (lane,) = world.lanes
    for _ in range(12):
        world.now_ms += HORIZON_MS
        lane.work(3)
        lane.window_end_ms = world.now_ms
        await world.checkpoint(lane)
        assert await trimmer.run() == 0
    archived |= {STATE_1: 2, MANIFESTS_0: 1}
    assert await trimmer.run() == 3
    assert (await world.begin(STATE_1), await world.begin(MANIFESTS_0)) == (2, 1)
    archived |= {STATE_1: 1 << 40, MANIFESTS_0: 1 << 40}
    assert await trimmer.run() > 0
    assert await world.begin(STATE_1) > 2
    world.check()
