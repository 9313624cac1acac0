"""Another version of a domain begins anew in every stage at one place, whatever brings it and whoever restarts."""

from collections.abc import Sequence
from dataclasses import replace

import lanes_world as world
import pytest
from lanes_fleet import Fleet
from lanes_lives import rebase
from lanes_steps import EPOCH, FIRST, OTHER, START, agrees, errors, opened, ran
from m0lanes import tags
from m0lanes.entities import key_parts

COINS, LATER = ("coins", "1"), ("coins", "2")
MODEL = ("frequency", "1")
TAUGHT_ONCE = {2_000_000_000 // 3}
"""In ppb, what the model says of heads who has heard of one toss, heads, and of nothing before it."""


def toss_all(log: world.World, index: int) -> None:
    for step, group in enumerate(log.groups):
        log.toss(group, True, START + index * EPOCH + 1 + step)


def heads(closed, epoch_id: int) -> set[int]:
    return {p[0] for p, _ in world.leaves(closed)[epoch_id].values()}


def owners(fleet: Fleet) -> list[set[tuple[str, ...]]]:
    """Of stages 1 to 3: whose entities the newest checkpoints of all lanes hold, without their kinds."""
    cores = (fleet.instances[0].heart.normalize(), fleet.instances[0].heart.feature(), fleet.instances[0].heart.model())
    found: list[set[tuple[str, ...]]] = []
    for core in cores:
        keys: Sequence[bytes] = [
            key
            for partition in range(world.PARTITIONS)
            for restored in fleet.topics.newest(core, partition)
            for key in restored.entities
            if key[0] in (tags.DOMAIN, tags.MODEL)
        ]
        heads = {key: 4 if key[0] == tags.MODEL else 2 for key in keys}
        found.append({tuple(part.decode() for part in key_parts(key)[: heads[key]]) for key in keys})
    return found


def changed() -> world.World:
    """The domain gets another version at a marker and keeps its model; one toss of each group before, one behind."""
    log = opened()
    log.define(2, **OTHER)
    log.end(FIRST + 1, following=2)
    toss_all(log, 2)
    log.end(FIRST + 2)
    return log


def test_a_new_version_of_a_domain_begins_anew_in_every_stage_though_its_model_is_as_it_was():
    log = changed()
    closed, pipeline = ran(log, world.BOTH)
    assert heads(closed, FIRST + 1) == heads(closed, FIRST + 2) == TAUGHT_ONCE
    assert errors(pipeline) == []
    agrees(log, world.BOTH)
    fleet = Fleet(replace(world.BOTH, held_bytes=0), 1, dies=0.05)
    fleet.write(log.records)
    fleet.run_until_idle()
    assert owners(fleet) == [{LATER}, {LATER}, {LATER + MODEL}]


def test_a_version_that_returns_begins_anew_as_well():
    log = changed()
    log.define(3)
    log.end(FIRST + 3, following=3)
    toss_all(log, 4)
    log.end(FIRST + 4)
    closed, pipeline = ran(log, world.BOTH)
    assert heads(closed, FIRST + 4) == TAUGHT_ONCE
    assert errors(pipeline) == []
    agrees(log, world.BOTH)


@pytest.mark.parametrize("dies", [0.0, 0.05])
@pytest.mark.parametrize("seed", range(3))
def test_a_life_under_a_release_with_another_version_of_the_domain_begins_anew_in_every_stage(seed, dies):
    log = opened()
    fleet = Fleet(world.BOTH, seed, dies)
    fleet.write(log.records)
    fleet.run_until_idle()
    assert owners(fleet) == [{COINS}, {COINS}, {COINS + MODEL}]
    since = len(log.records)
    rebase(log, fleet, FIRST, world.OTHER_RELEASE)
    toss_all(log, 1)
    log.end(FIRST + 1)
    # the generation behind it names the version that the life before had
    log.define(2)
    log.end(FIRST + 2, following=2)
    toss_all(log, 3)
    log.end(FIRST + 3)
    told = world.Follower(world.BOTH)
    closed = told.play(log.records)
    assert errors(told.pipeline) == []
    assert heads(closed, FIRST + 1) == heads(closed, FIRST + 3) == TAUGHT_ONCE
    fleet.write(log.records[since:])
    fleet.run_until_idle()
    assert (fleet.topics.headers(), fleet.topics.letters) == (world.headers(closed), {})
    assert owners(fleet) == [{COINS}, {COINS}, {COINS + MODEL}]
