"""A signed rebase begins a new life of a lane, whatever became of the one before; the catalog goes on."""

import asyncio

import lanes_world as lanes
import pytest
from loop_world import NAMES
from m0common.topics import FEATURES, NORMALIZED, PREDICTIONS, RAW
from m0lanes.generations import lanes_of
from m0lanes.keeper import Keeper
from m0lanes.pipeline import Pipeline
from msgspec.structs import replace


def lane_partitions() -> tuple[int, ...]:
    return lanes_of(lanes.World().payload(1))


async def rebase(stages, world, epoch_id, partitions=None, offset=None, life=1):
    """What `m0 lane rebase` writes for these lanes of the catalog."""
    written = []
    for partition in partitions or lane_partitions():
        roots, behind = await stages.roots(partition, epoch_id)
        written.append(world.rebase(partition, epoch_id, roots, (offset or {}).get(partition, behind), life))
    await stages.write(written)
    return written


async def begun(stages, epochs=2):
    """A season whose first epochs are closed."""
    world = lanes.season(epochs, first=stages.first)
    await stages.write(world.records)
    stages.start()
    await stages.until_closed(stages.first + epochs - 1)
    return world


async def go_on(stages, world, epochs):
    before = len(world.records)
    lanes.go_on(world, epochs)
    await stages.write(world.records[before:])
    await stages.until_closed(stages.first + max(epochs))


def check_first_of_life(message, partitions):
    """The first epoch of a life has no digests before it."""
    for lane in message.lanes:
        fresh = lane.partition in partitions
        assert (lane.life, lane.digests_before == ()) == ((1, True) if fresh else (0, False))
        assert len(lane.stage_digests) == 3


async def test_a_lane_goes_on_as_a_new_life_and_predicts_what_it_would_have(stages):
    world = await begun(stages, 3)
    closed = await stages.messages()
    lane = lane_partitions()[0]
    # from an epoch that is not the newest: what was said since is said again, and bundle keeps what it has closed
    rebased = await rebase(stages, world, stages.first + 1, [lane])
    await go_on(stages, world, [3, 4])
    messages = await stages.messages()
    assert {epoch: messages[epoch] for epoch in closed} == closed
    check_first_of_life(messages[stages.first + 3], {lane})
    later = {entry.partition: entry for entry in messages[stages.first + 4].lanes}
    before = {entry.partition: entry for entry in messages[stages.first + 3].lanes}
    assert later[lane].life == 1
    assert later[lane].digests_before == before[lane].stage_digests
    assert {entry.rebase for entry in messages[stages.first + 4].lanes if entry.partition != lane} == {bytes(32)}
    for name in ("normalize", "feature", "model"):
        assert {(r.life, r.parked) for r in stages.reports(name) if r.lane.partition == lane} == {(1, None)}
    skipped = {(record.partition, record.offset) for record in rebased}
    log = [r for r in await stages.read(RAW.name) if (r.partition, r.offset) not in skipped]
    assert await stages.leaves() == {epoch.header.epoch_id: epoch.leaves for epoch in lanes.play(log)}
    assert await stages.letters() == []


async def test_a_new_life_survives_kills_at_any_moment(stages):
    world = await begun(stages)
    await rebase(stages, world, stages.first, [lane_partitions()[0]])
    before = len(world.records)
    lanes.go_on(world, [2, 3])
    await stages.write(world.records[before:])
    for _ in range(4 if stages.world.kind == "memory" else 2):
        for name in NAMES:
            await asyncio.sleep(0.01 if stages.world.kind == "memory" else 0.2)
            await stages.kill(name)
            stages.start(name)
    await stages.until_closed(stages.first + 3)
    await stages.until(stages.ready)
    assert all(note is None for note in stages.notes().values())


async def test_a_marker_and_the_rebase_to_it_may_come_in_one_batch(memory_stages):
    stages = memory_stages
    world = await begun(stages)
    lane = lane_partitions()[0]
    # what the checkpoints of the next epoch will be a second fleet finds out
    before = len(world.records)
    lanes.go_on(world, [2])
    keeper = Keeper()
    raw = await stages.read(RAW.name)
    now_ms = raw[-1].append_ms
    again = [replace(r, append_ms=now_ms) for r in world.records[before:]]
    lanes.play([*raw, *again], Pipeline(lanes.HEART, observer=keeper))
    kept = {m.stage: m for m in keeper.manifests if (m.partition, m.epoch_id) == (lane, stages.first + 2)}
    roots = [kept[stage].digest for stage in (1, 2, 3)]
    await stages.stop("normalize")
    world.rebase(lane, stages.first + 2, roots, kept[1].input_offset + 1)
    lanes.go_on(world, [3])
    await stages.write(world.records[before:])
    stages.start("normalize")
    await stages.until_closed(stages.first + 3)
    messages = await stages.messages()
    check_first_of_life(messages[stages.first + 3], {lane})
    assert {entry.life for entry in messages[stages.first + 2].lanes} == {0}


@pytest.mark.parametrize("topic", [NORMALIZED.name, FEATURES.name, PREDICTIONS.name])
async def test_a_deleted_topic_between_the_lanes_is_repaired_by_new_lives(stages, topic):
    world = await begun(stages)
    closed = await stages.messages()
    await stages.stop(*NAMES)
    await stages.recreate(topic)
    reader = {NORMALIZED.name: "feature", FEATURES.name: "model", PREDICTIONS.name: "bundle"}[topic]
    stages.start()
    await stages.until(lambda: stages.loops[reader].notes() is not None)
    note = stages.loops[reader].ready() or ""
    assert "every lane is parked" in note
    assert "m0 lane rebase coins" in note
    await rebase(stages, world, stages.first + 1)
    await go_on(stages, world, [2, 3])
    messages = await stages.messages()
    assert {epoch: messages[epoch] for epoch in closed} == closed
    check_first_of_life(messages[stages.first + 2], set(lane_partitions()))
    await stages.until(stages.ready)
    assert all(note is None for note in stages.notes().values())
    await stages.stop(*NAMES)
    stages.start()
    await go_on(stages, world, [4])
    assert await stages.letters() == []


async def test_a_topic_deleted_under_a_running_stage_is_repaired_by_new_lives(memory_stages):
    stages = memory_stages
    world = await begun(stages)
    await stages.recreate(FEATURES.name)
    await stages.until(lambda: stages.loops["model"].ready() is not None)
    await rebase(stages, world, stages.first + 1)
    await go_on(stages, world, [2])
    check_first_of_life((await stages.messages())[stages.first + 2], set(lane_partitions()))
    assert all(note is None for note in stages.notes().values())


async def test_raw_that_was_deleted_before_a_stopped_stage_read_it_is_a_declared_gap(stages):
    world = await begun(stages)
    closed = await stages.messages()
    await stages.stop("normalize")
    before = len(world.records)
    lanes.go_on(world, [2])
    await stages.write(world.records[before:])
    begins = {}
    for partition in lane_partitions():
        begins[partition] = max(r.offset for r in await stages.read(RAW.name) if r.partition == partition) + 1
        await stages.truncate(RAW.name, partition, begins[partition])
    before = len(world.records)
    lanes.go_on(world, [3])
    await stages.write(world.records[before:])
    stages.start("normalize")
    await stages.until(lambda: "every lane is parked" in (stages.loops["normalize"].ready() or ""))

    async def says_so() -> bool:
        newest = {manifest.partition: manifest for manifest in await stages.manifests(1)}
        return all(newest[partition].status == "parked" for partition in lane_partitions())

    await stages.until(says_so)
    assert set(await stages.messages()) == set(closed), "nothing is said of a log with a hole"
    await rebase(stages, world, stages.first + 1, offset=begins)
    await go_on(stages, world, [4])
    messages = await stages.messages()
    assert {epoch: messages[epoch] for epoch in closed} == closed
    assert stages.first + 2 not in messages
    check_first_of_life(messages[stages.first + 3], set(lane_partitions()))
    assert messages[stages.first + 3].missed == (stages.first + 2,)
    await stages.until(stages.ready)


async def test_raw_that_is_deleted_under_a_running_stage_parks_its_lanes_and_a_rebase_repairs_them(stages):
    world = await begun(stages)
    lane = lane_partitions()[0]
    await stages.kill("normalize")
    stages.start("normalize")
    await stages.until(stages.ready)
    # it reads nothing while the log is cut before it
    stages.loops["normalize"]._consumer.pause(stages.loops["normalize"]._held)
    await asyncio.sleep(0.2)
    before = len(world.records)
    lanes.go_on(world, [2])
    await stages.write(world.records[before:])
    begin = max(r.offset for r in await stages.read(RAW.name) if r.partition == lane) + 1
    await stages.truncate(RAW.name, lane, begin)
    stages.loops["normalize"]._consumer.resume(stages.loops["normalize"]._held)
    await stages.until(lambda: stages.loops["normalize"].notes() is not None)
    assert stages.loops["normalize"].ready() is None, "other lanes go on"
    await rebase(stages, world, stages.first + 1, [lane], {lane: begin})
    await go_on(stages, world, [3])
    messages = await stages.messages()
    assert messages[stages.first + 3].missed == (stages.first + 2,)
    check_first_of_life(messages[stages.first + 3], {lane})
    assert stages.loops["normalize"].notes() is None


async def test_a_rebase_to_a_state_that_no_checkpoint_has_parks_the_lane_and_a_better_one_repairs_it(stages):
    world = await begun(stages)
    lane = lane_partitions()[0]
    _, behind = await stages.roots(lane, stages.first + 1)
    await stages.write([world.rebase(lane, stages.first + 1, [bytes([9]) * 32] * 3, behind)])
    await stages.until(lambda: "has the digest 0909" in (stages.loops["normalize"].notes() or ""))
    await rebase(stages, world, stages.first + 1, [lane])
    await go_on(stages, world, [2])
    check_first_of_life((await stages.messages())[stages.first + 2], {lane})


async def test_a_rebase_that_the_control_key_did_not_sign_is_a_letter(stages):
    world = await begun(stages)
    lane = lane_partitions()[0]
    roots, behind = await stages.roots(lane, stages.first + 1)
    await stages.write([world.rebase(lane, stages.first + 1, roots, behind, key=lanes.STRANGER)])
    await go_on(stages, world, [2])
    assert [letter.error for letter in await stages.letters()] == ["wrong_signature"]
    assert {entry.life for entry in (await stages.messages())[stages.first + 2].lanes} == {0}
