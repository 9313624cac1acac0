"""Catalogs that a start defines in the log."""

import pytest
from catalog_world import CLOCK, CONTROL, PARTITIONS, World
from m0common.errors import SettingsError
from m0common.topics import TOPICS
from m0deploy.catalogs import define, go_on
from m0deploy.changes import Changes
from m0replay.control_keys import ControlKeys, certify
from solders.keypair import Keypair

OLD, NEW = "aa" * 32, "bb" * 32


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "world")
    made.groups("crypto", "btc")
    return made


async def start(world, release=NEW, auto_release=True, keys=(CONTROL,), apply=True):
    """What a start does; the lines it says."""
    changes, held = Changes(lambda _: None, apply=apply), ControlKeys(world.control(*keys))
    await define(await world.desk(release), ["sports", "crypto"], held, auto_release, changes)
    return changes.said


async def newest(world, catalog="sports"):
    return (await world.desk()).log.standing(catalog).newest


async def test_the_first_start_defines_every_catalog_before_any_marker(world):
    assert await start(world) == ["sports: generation 1 defines it", "crypto: generation 1 defines it"]
    assert (await newest(world)).groups == ("eng.1", "es.1")
    assert (await newest(world, "crypto")).groups == ("btc",)


async def test_what_is_only_said_is_not_done(world):
    assert await start(world, apply=False) == await start(world, apply=False) == await start(world)
    assert await start(world, apply=False) == []


async def test_a_second_start_writes_nothing_whether_or_not_a_marker_came(world):
    await start(world)
    assert await start(world) == []
    await world.mark("sports", 7)
    assert await start(world) == []


async def test_a_changed_file_is_a_new_generation(world):
    await start(world)
    await world.mark("sports", 7)
    world.guardrails("sports", "limit = 5")
    assert await start(world) == ["sports: generation 2 changes params.limit"]
    assert (await newest(world)).params["limit"] == 5


async def test_an_edited_domain_goes_on_with_the_release_that_is_installed(world):
    await start(world, OLD)
    await world.mark("sports", 7)
    await world.mark("crypto", 7)
    said = await start(world, NEW)
    assert len(said) == 2
    assert all(OLD[:12] in line and NEW[:12] in line for line in said)
    assert (await newest(world)).release == NEW


async def again(world, release=NEW, keys=(CONTROL,)):
    """What a start does of lanes that nobody runs any more, as far as the lines it says."""
    desk, changes = await world.desk(release), Changes(lambda _: None, apply=True)
    await world.broker.create_topics(TOPICS, PARTITIONS)
    held = ControlKeys(world.control(*keys))
    await go_on(desk, ["sports", "crypto"], {bytes.fromhex(release): Sports()}, held, changes)
    return changes.said


class Sports:
    name = "sports"


async def test_lanes_that_nobody_runs_any_more_are_given_a_new_life_before_the_next_generation(world):
    await start(world, OLD)
    assert await again(world) == [], "no generation is in force yet"
    await world.mark("sports", 7)
    assert await again(world, OLD) == []
    assert await again(world) == ["sports goes on with the installed code from the beginning of the log"]
    assert await again(world) == []
    assert await start(world, NEW) == [
        f"sports: release {OLD[:12]} is not installed, generation 2 goes on with {NEW[:12]}",
        "crypto: release aaaaaaaaaaaa is not installed, generation 1 goes on with bbbbbbbbbbbb",
    ]


async def test_new_lives_are_signed_by_the_control_key_alone(world):
    await start(world, OLD)
    await world.mark("sports", 7)
    remedy = (
        f"the control key of sports is {bytes(CONTROL.pubkey()).hex()}, which no file in .* holds: put its file there"
    )
    with pytest.raises(SettingsError, match=remedy):
        await again(world, keys=[CLOCK])
    with pytest.raises(SettingsError, match=remedy):
        await again(world, keys=[])


async def test_a_start_signs_with_the_key_that_the_old_one_was_handed_on_to(world):
    await start(world)
    await world.mark("sports", 7)
    desk, heir = await world.desk(NEW), Keypair.from_seed(bytes([77]) * 32)
    certificate = certify(CONTROL, bytes(heir.pubkey()), desk.log.deployment.genesis_hash)
    await desk.put(desk.composed("sports", certificates=(certificate,)), heir)
    await world.mark("sports", 8)
    world.guardrails("sports", "limit = 5")
    with pytest.raises(SettingsError, match=bytes(heir.pubkey()).hex()):
        await start(world)
    assert await start(world, keys=[CONTROL, heir]) == ["sports: generation 3 changes params.limit"]


async def test_without_auto_release_the_release_in_force_stays(world):
    await start(world, OLD)
    await world.mark("sports", 7)
    world.guardrails("sports", "limit = 5")
    assert await start(world, NEW, auto_release=False) == ["sports: generation 2 changes params.limit"]
    assert (await newest(world)).release == OLD


async def test_a_retired_catalog_is_left_alone(world):
    await start(world)
    await world.mark("sports", 7)
    desk = await world.desk(NEW)
    await desk.put(desk.retired("sports"), CONTROL)
    await world.mark("sports", 8)
    assert await start(world) == []
