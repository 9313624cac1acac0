"""What the live stages say is what a pipeline says of the same log, whatever happens to their processes."""

import asyncio
from dataclasses import replace

import lanes_world as lanes
from loop_world import NAMES
from m0common.stream.loop import StageLoop
from m0common.topics import BUNDLES, MANIFESTS, STATE


async def test_live_stages_say_what_a_chain_says(stages):
    await stages.write(lanes.season(4, first=stages.first).records)
    expected = await stages.expected()
    assert len(expected) == 4
    stages.start()
    await stages.until_said(expected)
    assert await stages.letters() == []
    assert await stages.read(BUNDLES.name)
    assert await stages.read(MANIFESTS.name)
    for stage in STATE.values():
        assert all(len(record.value) <= 256 << 10 for record in await stages.read(stage.name))
    await stages.until(stages.ready)


async def test_lanes_with_nothing_held_at_hand_go_back_at_every_marker_and_say_what_a_chain_says(stages):
    """Whole batches of the log lie behind each marker they go back from; they die on their way as well."""
    world = lanes.season(5, first=stages.first)
    stages.heart = replace(lanes.HEART, held_bytes=0)
    stages.start("normalize")
    for start in range(0, len(world.records), 40):
        await stages.write(world.records[start : start + 40])
        await asyncio.sleep(0.05)
        await stages.kill("normalize")
        stages.start("normalize")
    stages.start("feature", "model", "bundle")
    await stages.until_said(await stages.expected())
    assert await stages.letters() == []
    await stages.until(stages.ready)


async def test_stages_killed_again_and_again_go_on_where_they_were(stages):
    records = lanes.season(4, first=stages.first).records
    stages.start()
    step = 15 if stages.world.kind == "memory" else 60
    for start in range(0, len(records), step):
        await stages.write(records[start : start + step])
        for name in NAMES:
            await asyncio.sleep(0.01 if stages.world.kind == "memory" else 0.2)
            await stages.kill(name)
            stages.start(name)
    await stages.until_said(await stages.expected())
    await stages.until(stages.ready)


async def test_a_stage_that_is_stopped_saves_its_lanes_and_the_next_start_begins_there(stages):
    world = lanes.season(2, first=stages.first)
    lanes.go_on(world, [2])
    await stages.write(world.records[:-6])  # in the middle of an epoch
    stages.start()
    raw = {r.partition: r.offset for r in await stages.read("m0.raw.v1")}
    await stages.until(
        lambda: {w.partition: o - 1 for w, o in stages.loops["normalize"]._next_offsets.items() if o} == raw
    )
    await asyncio.sleep(1)
    before = {name: [(r.lane, r.life, r.seq) for r in stages.reports(name)] for name in NAMES}
    await stages.stop(*NAMES)
    said = {topic: len(await stages.read(topic)) for topic in ("m0.normalized.v1", "m0.features.v1")}
    stages.start()
    await stages.until(stages.ready)
    assert {name: [(r.lane, r.life, r.seq) for r in stages.reports(name)] for name in NAMES} == before
    await asyncio.sleep(0.5)
    assert {topic: len(await stages.read(topic)) for topic in said} == said, "a clean stop repeats nothing"
    await stages.write(world.records[-6:])
    await stages.until_said(await stages.expected())


async def test_two_copies_of_every_stage_share_its_partitions_and_lose_none_when_one_dies(stages):
    records = lanes.season(5, first=stages.first).records
    third = len(records) // 3
    stages.start()
    await stages.write(records[:third])
    stages.start(*(f"{name}:2" for name in NAMES))
    await stages.until(lambda: all(stages.loops[f"{n}:{2}"]._held and stages.loops[n]._held for n in NAMES))
    await stages.write(records[third : 2 * third])
    await asyncio.sleep(0.3)
    for name in NAMES:
        await stages.kill(name)
    await stages.write(records[2 * third :])
    await stages.until_said(await stages.expected(), 60)
    held = [stages.loops[f"{name}:2"]._held for name in NAMES]
    assert [len(partitions) for partitions in held] == [lanes.PARTITIONS] * 4


async def test_a_zombie_that_does_not_know_that_it_was_replaced_only_repeats(stages):
    records = lanes.season(3, first=stages.first).records
    stages.start()
    twins = {}
    for name in NAMES:
        core = stages.heart.bundle(8) if name == "bundle" else getattr(stages.heart, name)()
        twins[name] = StageLoop(core, stages.broker, stages.settings, group=f"zombie-{name}")
        stages.loops[f"zombie-{name}"] = twins[name]
        stages.tasks[f"zombie-{name}"] = asyncio.create_task(twins[name].run())
    await stages.write(records)
    await stages.until_said(await stages.expected())
    assert await stages.letters() == []
    assert all(note is None for note in stages.notes().values())
