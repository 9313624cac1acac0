"""States that no stage made, with the right digest: a stage goes on from an older one, or parks the lane."""

import lanes_world as lanes
import msgspec
from loop_world import NAMES
from m0common.canonical import state_digest
from m0common.messages import Manifest, StateBatch, encode
from m0common.stream.broker import TopicPartition
from m0common.stream.records import Produce
from m0common.topics import MANIFESTS, STATE
from m0lanes import tags
from m0lanes.control import LIFE_MAX
from m0lanes.entities import entity_key
from m0lanes.generations import lanes_of
from structlog.testing import capture_logs

LANE = entity_key(tags.LANE)


async def newest(stages, stage: int) -> dict[int, Manifest]:
    """By partition."""
    return {m.partition: m for m in sorted(await stages.manifests(stage), key=lambda m: m.position)}


async def forge(stages, manifest: Manifest, life: int = 0) -> None:
    """A whole checkpoint behind a manifest, of one entity that means nothing."""
    position, entries = manifest.position + 1, ((LANE, b"\xc1"),)
    batch = StateBatch(manifest.catalog, manifest.partition, life, position, entries)
    where = TopicPartition(STATE[manifest.stage].name, manifest.partition)
    producer = stages.broker.producer()
    await producer.start()
    written = (await producer.send([Produce(*where, b"coins", encode(batch))]))[where]
    made = msgspec.structs.replace(
        manifest,
        life=life,
        position=position,
        digest=state_digest(entries),
        from_position=position,
        from_offset=written.first,
        to_offset=written.end,
    )
    await producer.send([Produce(MANIFESTS.name, manifest.partition, b"coins", encode(made))])
    await producer.stop()


async def a_season_closed(stages):
    """Two epochs that every stage has closed and saved; all are stopped."""
    world = lanes.season(2, first=stages.first)
    await stages.write(world.records)
    stages.start()
    await stages.until_closed(stages.first + 1)
    await stages.stop(*NAMES)
    return world


async def test_every_stage_goes_on_from_the_state_before_and_says_what_it_refused(memory_stages):
    stages = memory_stages
    world = await a_season_closed(stages)
    for stage in (1, 2, 3, 4):
        for manifest in (await newest(stages, stage)).values():
            await forge(stages, manifest)
    with capture_logs() as logs:
        stages.start()
        before = len(world.records)
        lanes.go_on(world, [2])
        await stages.write(world.records[before:])
        await stages.until_closed(stages.first + 2)
    assert {line["stage"] for line in logs if line["event"] == "state_refused"} == {1, 2, 3, 4}
    assert all(note is None for note in stages.notes().values())


async def test_a_life_that_a_manifest_alone_claims_is_counted_and_holds_no_rebase_up(memory_stages):
    stages = memory_stages
    world = await a_season_closed(stages)
    producer = stages.broker.producer()
    await producer.start()
    for stage in (1, 2, 3, 4):
        for partition, manifest in (await newest(stages, stage)).items():
            forged = msgspec.structs.replace(manifest, life=LIFE_MAX)
            await producer.send([Produce(MANIFESTS.name, partition, b"coins", encode(forged))])
    await producer.stop()
    stages.start()
    roots = {partition: await stages.roots(partition, stages.first + 1) for partition in lanes_of(world.payload(1))}
    before = len(world.records)
    for partition, where in roots.items():
        world.rebase(partition, stages.first + 1, *where)
    lanes.go_on(world, [2])
    await stages.write(world.records[before:])
    await stages.until_closed(stages.first + 2)
    assert {lane.life for lane in (await stages.messages())[stages.first + 2].lanes} == {1}
    assert all(stages.loops[name]._core.drops[MANIFESTS.name, "no_life"] for name in NAMES)
    assert all(note is None for note in stages.notes().values())


async def test_a_lane_that_no_sound_state_is_left_of_is_parked_with_the_remedy_and_the_stage_goes_on(memory_stages):
    stages = memory_stages
    await a_season_closed(stages)
    for partition, manifest in (await newest(stages, 2)).items():
        await forge(stages, manifest)
        end = (await newest(stages, 2))[partition].from_offset
        await stages.truncate(STATE[2].name, partition, end)
        await stages.truncate(stages.loops["feature"]._core.input_topic, partition, 3)
    stages.start()
    await stages.until(lambda: "every lane is parked" in (stages.loops["feature"].ready() or ""))
    assert "m0 lane rebase coins" in (stages.loops["feature"].ready() or "")
    assert stages.loops["feature"].healthy() is None
