"""Two builds side by side: each runs the lanes whose release it holds, and takes over at the barrier."""

import asyncio

import lanes_world as lanes
from lanes_toy import OtherCoins
from loop_world import NAMES, QUICK
from m0common.topics import RAW
from m0lanes.control import DomainRef
from m0lanes.pipeline import Pipeline
from m0lanes.stages import Heart

NEW = Heart(lanes.DEPLOYMENT, {lanes.OTHER_RELEASE: OtherCoins()}, bytes([3]) * 32)


def switched(first: int) -> tuple[lanes.World, int]:
    """Two epochs under the old release, the third one's marker switches, two under the new one; where the switch is."""
    world = lanes.season(2, first=first)
    world.define(2, release=lanes.OTHER_RELEASE.hex(), domain=DomainRef("coins", "tests", 2))
    for index in range(3):
        epoch = first + 2 + index
        world.now_ms = epoch * lanes.EPOCH_MS
        for step, group in enumerate(world.groups):
            world.open(group, f"NEW_{step}_{index}", world.now_ms + step)
            world.toss(group, bool((index + step) % 3), world.now_ms + 100 * step + 5)
        world.end(epoch, 2 if index == 0 else None)
        if index == 0:
            switch = len(world.records)
    return world, switch


async def said_by_both(stages):
    return lanes.headers(lanes.play(await stages.read(RAW.name), Pipeline(lanes.BOTH)))


async def test_the_new_build_takes_over_at_the_barrier_and_neither_is_unready(stages):
    world, switch = switched(stages.first)
    stages.start()
    stages.start(*(f"{name}:new" for name in NAMES), heart=NEW)
    await stages.write(world.records[:switch])
    await stages.until_closed(stages.first + 1)
    await stages.write(world.records[switch:])
    await stages.until_said(await said_by_both(stages))
    await stages.until(stages.ready)
    assert all(note is None for note in stages.notes().values())
    # the old one may go, and the new one restarts where it is
    for name in NAMES:
        await stages.kill(name)
        await stages.kill(f"{name}:new")
    stages.start(*(f"{name}:new" for name in NAMES), heart=NEW)
    before = len(world.records)
    world.end(stages.first + 5)
    await stages.write(world.records[before:])
    await stages.until_said(await said_by_both(stages))


async def test_a_lane_that_nobody_runs_is_named_with_what_to_install_until_somebody_does(stages):
    world = lanes.season(4, first=stages.first)
    stages.start(
        *(f"{name}:new" for name in NAMES), heart=NEW, settings=QUICK.model_copy(update={"silent_after_ms": 0})
    )
    await stages.write(world.records)
    install = f"nobody runs it: install release {lanes.COINS_RELEASE.hex()} (catalog coins)"
    await stages.until(lambda: install in (stages.loops["normalize:new"].notes() or ""))
    assert stages.ready()
    stages.start()
    await stages.until(lambda: stages.ready() and not any(stages.notes().values()))
    await stages.until_said(await stages.expected())


async def test_a_new_build_that_comes_after_the_switch_goes_on_from_the_checkpoints_of_the_old_one(stages):
    world, _ = switched(stages.first)
    await stages.write(world.records)
    stages.start()
    await stages.until_closed(stages.first + 1)
    await asyncio.sleep(0.5)
    assert stages.first + 4 not in await stages.messages()
    stages.start(*(f"{name}:new" for name in NAMES), heart=NEW)
    await stages.until_said(await said_by_both(stages))
