"""Replay of a log that live stages have written, on every broker."""

import lanes_world as world
import pytest
from m0common.canonical import BundleHeader
from m0lanes.generations import lanes_of
from m0replay.replay import replay_epoch

LANES = lanes_of(world.World().payload(1))


async def go_on(stages, log, epochs) -> None:
    since = len(log.records)
    world.go_on(log, epochs)
    await stages.write(log.records[since:])
    await stages.until_closed(stages.first + max(epochs))


async def replayed(stages, epoch_id: int, **options):
    messages = await stages.messages()

    async def final(_catalog: str, epoch_id: int) -> tuple[bytes, bytes]:
        header = BundleHeader.decode(messages[epoch_id].header)
        return header.merkle_root, header.bundle_hash

    return await replay_epoch(stages.broker, stages.heart, final, "coins", epoch_id, **options)


async def begun(stages) -> world.World:
    log = world.season(2, first=stages.first)
    await stages.write(log.records)
    stages.start()
    await stages.until_closed(stages.first + 1)
    return log


async def check(stages, roots, epochs, *, full: bool) -> None:
    """These epochs match; the life began from these roots behind the second."""
    for index in epochs:
        verdict = await replayed(stages, stages.first + index, full=full)
        assert verdict.match, (index, verdict.difference)
        began = index >= 2 if full else index == 2
        assert [(life.life, life.roots) for life in verdict.lives] == ([(1, tuple(roots))] if began else [])


async def test_every_epoch_before_at_and_behind_a_rebase_matches(stages):
    log = await begun(stages)
    roots, behind = await stages.roots(LANES[0], stages.first)
    await stages.write([log.rebase(LANES[0], stages.first, roots, behind)])
    await go_on(stages, log, [2, 3])
    await check(stages, roots, range(4), full=False)
    await check(stages, roots, [3], full=True)


@pytest.mark.parametrize("full", [False, True])
async def test_a_life_from_the_beginning_matches(memory_stages, full: bool):
    stages = memory_stages
    log = await begun(stages)
    roots = [bytes(32)] * 3
    await stages.write([log.rebase(LANES[0], 0, roots, 0)])
    await go_on(stages, log, [2, 3])
    await check(stages, roots, range(4), full=full)
