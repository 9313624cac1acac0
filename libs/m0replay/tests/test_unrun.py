"""Which releases a log needs behind an upgrade, and the command that is said for each that nobody will run."""

import lanes_world as world
import pytest
from lanes_toy import Coins
from m0common.stream.groups import build_id
from m0common.stream.states import manifests
from m0common.topics import MANIFESTS
from m0lanes.generations import lanes_of
from m0replay.control_keys import ControlKey
from m0replay.rebasing import write_rebases
from m0replay.unrun import Staying, unrun
from recorded_world import Recorded, planned, read_log
from stages_world import Live

OLD, NEW = world.COINS_RELEASE, bytes([13]) * 32
LANES = lanes_of(world.World().payload(1))
KEY = ControlKey(world.CONTROL, world.DEPLOYMENT.control_key, world.DEPLOYMENT.genesis_hash, ())


@pytest.fixture
async def live():
    """Three epochs, closed; nobody runs."""
    log = world.season(3)
    made = Live(await Recorded().of(log.records), log)
    yield made
    await made.kill()


async def looked(live, installed, others=(), builds=()):
    staying = Staying([each.hex() for each in others], builds)
    return await unrun(live.broker, await read_log(live), {Coins.name: installed.hex()}, staying)


async def test_what_runs_a_lane_and_stays_installed_is_no_fault(live):
    assert await looked(live, OLD) == ({OLD.hex()}, [])
    assert await looked(live, NEW, [OLD]) == ({OLD.hex()}, [])


async def test_a_build_that_stays_has_what_it_has_run(live):
    said = await manifests(live.broker, range(await live.broker.partitions(MANIFESTS.name)))
    builds = {build_id(manifest.build) for manifest in said if manifest.release == OLD}
    assert builds
    assert await looked(live, NEW, builds=builds) == ({OLD.hex()}, [])
    _, faults = await looked(live, NEW, builds=["0123456789"])
    assert f"needs release {OLD.hex()}" in faults[0]


async def test_a_release_that_nobody_will_run_is_named_with_generation_lanes_and_commands(live):
    needed, [fault] = await looked(live, NEW)
    assert needed == {OLD.hex()}
    assert fault.startswith(f"generation 1, {', '.join(f'lane coins/{lane}' for lane in LANES)} of catalog coins needs")
    assert f"needs release {OLD.hex()}, which is not among those installed here" in fault
    assert "install the new build beside it and follow `m0 release plan`" in fault
    assert f"`m0 catalog set coins --release {NEW.hex()}`" in fault
    assert f"`m0 lane rebase coins --release {NEW.hex()}`" in fault
    assert f"--releases {OLD.hex()}" in fault


async def test_a_lane_that_was_given_another_release_needs_that_one(live):
    plan = await planned(live, LANES[0], NEW)
    await write_rebases(live.broker, KEY, [plan], live.clock)
    needed, faults = await looked(live, OLD)
    assert needed == {OLD.hex(), NEW.hex()}
    [fault] = faults
    assert fault.startswith(f"lane coins/{LANES[0]} of catalog coins needs release {NEW.hex()}")
    assert f"`m0 lane rebase coins --partition {LANES[0]} --release {OLD.hex()}`" in fault


async def test_a_domain_that_is_not_installed_at_all_is_named(live):
    needed, [fault] = await unrun(live.broker, await read_log(live), {}, Staying())
    assert needed == {OLD.hex()}
    assert "install the distribution" in fault


async def test_a_log_without_catalogs_needs_nothing(live):
    log = world.World()
    empty = Live(await Recorded().of(()), log)
    assert await looked(empty, NEW) == (set(), [])
