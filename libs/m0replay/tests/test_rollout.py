"""Two builds side by side: what is named, what may be written, what has to be waited for, what may go."""

import asyncio

import lanes_world as world
import pytest
from m0common.errors import M0Error, SettingsError, Unavailable
from m0replay.builds import Builds, known_builds, running_builds
from m0replay.catalog_changes import taken_back
from m0replay.control_keys import ControlKey
from m0replay.rebasing import write_rebases
from m0replay.rolled import Rolled
from msgspec.structs import replace
from recorded_world import planned
from two_builds_world import NEW, NEW_RELEASE, OLD, OLD_RELEASE, Deployed, groups_of, id_of

LANE = min(world.lanes_of(world.World().payload(1)))


pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def deployed(tmp_path, monkeypatch):
    monkeypatch.setattr("m0replay.rolled.POLL_S", 0.05)
    monkeypatch.setattr("m0replay.catalog_log.POLL_S", 0.05)
    made = await Deployed.of(tmp_path)
    yield made
    await made.kill()


async def test_a_release_goes_forth_and_back_at_barriers_and_what_is_not_needed_may_go(deployed):
    deployed.run(OLD, NEW)
    rollout = await deployed.look(NEW)
    named = rollout.named("coins")
    assert (named.release, named.installed, named.is_due, named.fault) == (OLD_RELEASE, NEW_RELEASE, True, None)
    assert rollout.builds.ids == sorted([id_of(OLD), id_of(NEW)])
    assert [f"generation 1, {', '.join(f'lane coins/{lane}' for lane in world.lanes_of(deployed.log.payload(1)))}"] == [
        why.partition(" of catalog")[0] for why in rollout.stays(id_of(OLD))
    ]
    assert rollout.stays(id_of(NEW)) == []
    # forth
    (step,) = rollout.switches()
    assert ("release", OLD_RELEASE, NEW_RELEASE) in step.plan.changes
    await deployed.write(rollout, [step])
    rolled = deployed.rolled(rollout)
    await deployed.marker(following=2)
    await rolled.in_force(step.plan.payload)
    await deployed.marker()
    await rolled.taken_over(step.plan.payload)
    assert await rolled.final(step.plan.payload) == world.FIRST + 4
    after = await deployed.look(NEW)
    assert after.named("coins").is_due is False
    assert (after.stays(id_of(OLD)), len(after.stays(id_of(NEW)))) == ([], 1)
    assert [each.is_new for each in after.switches()] == [False]
    # and back
    (step,) = after.ways_back()
    assert (step.plan.payload.release, step.plan.payload.generation) == (OLD_RELEASE, 3)
    await deployed.write(after, [step])
    rolled = deployed.rolled(after)
    await deployed.marker(following=3)
    await deployed.marker()
    await rolled.in_force(step.plan.payload)
    await rolled.taken_over(step.plan.payload)
    assert await rolled.final(step.plan.payload) == world.FIRST + 6
    # said again it changes nothing
    home = await deployed.look(NEW)
    assert [(each.is_new, each.plan.payload.release) for each in home.ways_back()] == [(False, OLD_RELEASE)]
    assert home.stays(id_of(NEW)) == []
    assert not deployed.live[id_of(OLD)].letters()


async def test_until_every_stage_is_over_the_barrier_the_old_build_has_to_stay(deployed):
    deployed.run(OLD, NEW)
    rollout = await deployed.look(NEW)
    steps = rollout.switches()
    await deployed.write(rollout, steps)
    # nobody of the old build reads on, and the marker is in the log
    await deployed.live.pop(id_of(OLD)).kill()
    await deployed.marker(following=2)
    (why,) = (await deployed.look(NEW)).stays(id_of(OLD))
    assert why.startswith("what is not over in bundle of coins/0, ")
    assert f"normalize of coins/{LANE}, feature of coins/{LANE}, model of coins/{LANE}" in why
    with pytest.raises(Unavailable, match=f"after 0 s normalize of coins/{LANE}, .* has not gone on with release"):
        await deployed.rolled(rollout, timeout_s=0).taken_over(steps[0].plan.payload)
    with pytest.raises(Unavailable, match="no epoch of generation 2 is final: see that signers"):
        await deployed.rolled(rollout, timeout_s=0).final(steps[0].plan.payload)
    deployed.run(OLD)
    await deployed.marker()
    await deployed.rolled(rollout).taken_over(steps[0].plan.payload)
    assert (await deployed.look(NEW)).stays(id_of(OLD)) == []


async def test_an_epoch_is_not_final_before_the_chain_says_so(deployed):
    deployed.run(OLD, NEW)
    rollout = await deployed.look(NEW)

    async def other(_catalog, _epoch):
        return bytes(32), bytes(32)

    with pytest.raises(Unavailable, match="no epoch of generation 1 is final"):
        await deployed.rolled(rollout, 0, other).final(rollout.switches()[0].plan.before)


async def test_a_release_that_runs_nowhere_is_not_named(deployed):
    deployed.manned = groups_of(OLD) | groups_of(NEW, "normalize", "model")
    rollout = await deployed.look(NEW)
    with pytest.raises(
        SettingsError, match=f"known to have release {NEW_RELEASE} of catalog coins runs in feature, bundle"
    ):
        rollout.switches()
    assert rollout.named("coins").fault.startswith("no build that is known to have")


async def test_lanes_that_nobody_brings_to_a_marker_are_not_switched(deployed):
    deployed.manned = groups_of(NEW) | groups_of(OLD, "normalize", "feature")
    with pytest.raises(SettingsError) as refused:
        (await deployed.look(NEW)).switches()
    assert f"their release {OLD_RELEASE} runs in no model and no bundle: start it again" in str(refused.value)
    assert f"`m0 lane rebase coins --release {NEW_RELEASE}`" in str(refused.value)


async def test_a_parked_lane_is_repaired_first(deployed):
    deployed.recorded.lose_raw(LANE)
    deployed.manned = groups_of(OLD) | groups_of(NEW)
    rollout = await deployed.look(NEW)
    with pytest.raises(SettingsError, match=rf"lane coins/{LANE} is parked in normalize \(what comes next is gone;.*"):
        rollout.switches()
    with pytest.raises(
        M0Error, match=rf"lane coins/{LANE} is parked in normalize \(what comes next is gone;.*see `m0 lane list`"
    ):
        await deployed.rolled(rollout, 0).taken_over(rollout.desk.composed("coins"))


async def test_a_catalog_that_there_is_not_is_refused_with_the_one_that_was_meant(deployed):
    rollout = await deployed.look(NEW)
    with pytest.raises(SettingsError, match=r"no catalog coin that is not retired.*did you mean coins"):
        rollout.switches(["coin"])


async def test_a_way_back_is_refused_where_the_log_has_none_or_nobody_runs_it(deployed):
    deployed.manned = groups_of(OLD)
    with pytest.raises(
        SettingsError, match=f"no set of catalog coins with another release than {OLD_RELEASE}: run `m0 re"
    ):
        (await deployed.look(OLD)).ways_back()
    deployed.manned |= groups_of(NEW)
    rollout = await deployed.look(NEW)
    await deployed.write(rollout, rollout.switches())
    deployed.manned = groups_of(NEW)
    with pytest.raises(SettingsError, match=f"known to have release {OLD_RELEASE} of catalog coins runs in normalize"):
        (await deployed.look(NEW)).ways_back()


async def test_a_catalog_whose_release_never_changed_is_left_alone_unless_it_is_named(deployed):
    deployed.manned = groups_of(OLD) | groups_of(NEW)
    rollout = await deployed.look(NEW)
    (step,) = rollout.switches()
    await deployed.write(rollout, [step])
    payload = step.plan.payload
    newcomer = replace(payload, catalog="stones", generation=1, groups=[f"{each}2" for each in payload.groups])
    await rollout.desk.put(newcomer, world.CONTROL, [newcomer.release])
    after = await deployed.look(NEW)
    assert [each.plan.payload.catalog for each in after.ways_back()] == ["coins"]
    for names in (["stones"], ["coins", "stones"]):
        with pytest.raises(SettingsError, match=f"no set of catalog stones with another release than {NEW_RELEASE}"):
            after.ways_back(names)


async def test_a_switch_that_waits_for_its_marker_can_be_taken_back(deployed):
    deployed.run(OLD, NEW)
    rollout = await deployed.look(NEW)
    await deployed.write(rollout, rollout.switches())
    waiting = await deployed.look(NEW)
    assert (waiting.named("coins").waits, waiting.named("coins").is_due) == (True, False)
    assert len(waiting.stays(id_of(OLD))) == len(waiting.stays(id_of(NEW))) == 1
    (step,) = waiting.ways_back()
    assert (step.plan.payload.release, step.plan.payload.generation) == (OLD_RELEASE, 2)


async def test_a_lane_that_was_given_another_release_keeps_the_build_that_has_it(deployed):
    deployed.manned = groups_of(OLD) | groups_of(NEW)
    log = (await deployed.look(NEW)).desk.log
    plan = await planned(deployed.recorded, LANE, bytes.fromhex(NEW_RELEASE))
    key = ControlKey(world.CONTROL, world.DEPLOYMENT.control_key, world.DEPLOYMENT.genesis_hash, ())
    await write_rebases(deployed.recorded.broker, key, [plan], log.clock)
    (why,) = (await deployed.look(NEW)).stays(id_of(NEW))
    assert why.startswith(f"lane coins/{LANE} of catalog coins needs release {NEW_RELEASE}")


def test_taking_back_undoes_what_the_switch_changed_and_keeps_what_came_later():
    first = world.World().payload(1)
    switch = replace(first, generation=2, release=NEW_RELEASE, model="other", params={"signer_set_id": 1, "bias": 3})
    later = replace(switch, generation=3, params={"signer_set_id": 2}, groups=("penny",))
    back = taken_back([first, switch, later], 4)
    assert back == replace(first, generation=4, params={"signer_set_id": 2}, groups=("penny",))
    assert taken_back([first], 2) is None
    gone = replace(first, generation=1, retired=True, groups=())
    assert taken_back([gone, switch], 3) is None
    assert taken_back([first, switch, replace(first, generation=3)], 4) == replace(switch, generation=4)


def test_what_a_build_has_is_known_from_what_it_said_or_from_what_is_installed():
    running = running_builds(["m0-normalize-aaaaaaaaaa", "m0-model-aaaaaaaaaa", "m0-indexer", "m0-bundle-bbbbbbbbbb"])
    builds = Builds(known_builds([], "aaaaaaaaaa", ["11", "22"]), running)
    assert builds.ids == ["aaaaaaaaaa", "bbbbbbbbbb"]
    assert builds.stages("aaaaaaaaaa") == ["normalize", "model"]
    assert (builds.releases("aaaaaaaaaa"), builds.releases("bbbbbbbbbb")) == (["11", "22"], [])
    assert builds.lacking("11") == ["feature", "bundle"]
    assert builds.lacking("11", without="aaaaaaaaaa") == ["normalize", "feature", "model", "bundle"]
    assert (builds.strange_in("bundle"), builds.strange_in("model")) == (True, False)
    assert builds.running("22") == ["aaaaaaaaaa"]


async def test_waiting_goes_on_until_what_is_waited_for_comes(deployed):
    deployed.run(OLD, NEW)
    rollout = await deployed.look(NEW)
    steps = rollout.switches()
    await deployed.write(rollout, steps)
    rolled: Rolled = deployed.rolled(rollout)
    waiting = asyncio.create_task(rolled.taken_over(steps[0].plan.payload))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await deployed.marker(following=2)
    await deployed.marker()
    await asyncio.wait_for(waiting, 30)
