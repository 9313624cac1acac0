"""`m0 lane`: what it prints, what it plans and how it ends."""

import lanes_world as world
import pytest
from lanes_toy import Coins, OtherCoins
from m0cli.lane import Asked, app, confirmed, lanes_json, plans, plans_json, plans_text
from m0common.canonical import ZERO
from m0common.errors import SettingsError
from m0lanes.generations import lanes_of, partition_of
from m0replay.catalog_log import CatalogLog
from m0replay.control_keys import ControlKey
from m0replay.lanes import lane_rows
from m0replay.rebasing import write_rebases
from recorded_world import Recorded
from typer.testing import CliRunner

LANES = lanes_of(world.World().payload(1))
LAST = world.FIRST + 2
INSTALLED = {world.COINS_RELEASE: Coins()}


def m0(*args, home, **env):
    return CliRunner().invoke(app, args, env={"M0_HOME": str(home), **env})


@pytest.mark.parametrize("command", ["list", "rebase"])
def test_every_command_has_help_and_json(command, tmp_path):
    done = m0(command, "--help", home=tmp_path)
    assert done.exit_code == 0
    assert "--json" in done.output


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["nonsense"], "No such command"),
        (["rebase"], "Missing argument"),
        (["rebase", "sports", "--from", "yesterday"], "--from yesterday: give an epoch number or 'beginning'"),
        (["rebase", "sports", "--from", "-1"], "--from -1: give an epoch number"),
        (
            ["rebase", "sports", "--release", "v2"],
            "--release v2: give 64 hex digits, not all 0, or 'installed'",
        ),
        (["rebase", "sports", "--release", "0" * 64], "give 64 hex digits, not all 0"),
        (["rebase", "sports", "--from", str(1 << 63)], f"--from {1 << 63}: give an epoch number"),
        (["rebase", "sports", "--from", "9" * 5_000], "give an epoch number"),
        (["rebase", "sports", "--partition", "-1"], "--partition"),
        (["rebase", "sports", "--partition", "1024"], "--partition"),
        (["rebase", "sports", "--yes"], "no control key"),
        (["list", "sports"], "unexpected extra argument"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_is_wrong(args, sentence, tmp_path):
    done = m0(*args, home=tmp_path)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.replace("│", " ").split())


@pytest.fixture(scope="module")
def records():
    return world.season(3).records


@pytest.fixture
async def recorded(records):
    return await Recorded().of(records)


async def planned(recorded, installed=INSTALLED, **asked):
    log = CatalogLog(recorded.broker, world.DEPLOYMENT, recorded.clock)
    await log.read()
    return await plans(recorded.broker, log, Asked("coins", **asked), installed)


async def test_lanes_are_listed_in_order_with_these_fields_and_no_other(recorded):
    found = lanes_json(await lane_rows(recorded.broker, world.DEPLOYMENT))
    assert set(found) == {"lanes"}
    places = [(row["catalog"], row["partition"], row["stage"]) for row in found["lanes"]]
    assert {stage for _, _, stage in places} == {"normalize", "feature", "model", "bundle"}
    assert [place[:2] for place in places] == sorted(place[:2] for place in places)
    row = found["lanes"][places.index(("coins", LANES[0], "model"))]
    assert set(row) == {
        *("catalog", "partition", "stage", "generation", "life", "epoch_id", "seq", "lag", "entities"),
        *("state_bytes", "release", "build", "parked"),
    }
    assert (row["generation"], row["life"], row["epoch_id"], row["lag"], row["parked"]) == (1, 0, LAST, 0, None)
    assert (row["release"], row["build"]) == (world.COINS_RELEASE.hex(), world.HEART.build.hex())
    assert min(row["seq"], row["entities"], row["state_bytes"]) > 0


async def test_every_lane_of_a_catalog_goes_on_under_the_release_that_runs_it(recorded):
    found = await planned(recorded)
    assert [plan.payload.partition for plan in found] == list(LANES)
    said = plans_json(found, INSTALLED, written=False)
    assert set(said) == {"written", "rebases"}
    assert set(said["rebases"][0]) == {
        *("catalog", "partition", "life", "epoch_id", "release", "offset", "roots", "gap", "unread", "installed")
    }
    assert {(r["epoch_id"], r["life"], r["release"]) for r in said["rebases"]} == {(LAST, 1, world.COINS_RELEASE.hex())}
    assert {rebase["installed"] for rebase in said["rebases"]} == {True}
    lines = plans_text(found, INSTALLED).splitlines()
    assert len(lines) == len(LANES)
    assert lines[0] == (
        f"coins/{LANES[0]}: life 1 goes on with release {world.COINS_RELEASE.hex()[:12]} from the marker of epoch "
        f"{LAST}"
    )


async def test_one_lane_and_an_epoch_may_be_asked_for(recorded):
    (plan,) = await planned(recorded, partition=LANES[1], origin=str(world.FIRST))
    assert (plan.payload.partition, plan.payload.epoch_id) == (LANES[1], world.FIRST)
    (plan,) = await planned(recorded, partition=LANES[1], origin="beginning")
    assert plan.payload.roots == (ZERO.hex(),) * 3


async def test_a_release_that_nobody_has_here_is_said_before_it_is_written(recorded):
    found = await planned(recorded, release="ab" * 32)
    assert plans_text(found, INSTALLED).splitlines()[len(LANES) :] == [
        f"release {'ab' * 32} is not installed here: the lane stands still until somebody runs it"
    ]
    assert {rebase["installed"] for rebase in plans_json(found, INSTALLED, written=False)["rebases"]} == {False}


async def test_the_installed_release_is_that_of_the_domain_in_force(recorded):
    edited = bytes([13]) * 32
    found = await planned(recorded, {edited: Coins()}, release="installed")
    assert {plan.payload.release for plan in found} == {edited.hex()}
    with pytest.raises(SettingsError, match="domain coins is not installed here: install tests"):
        await planned(recorded, {}, release="installed")


async def test_another_version_of_the_domain_begins_anew_from_the_same_marker(recorded):
    (plan, *_) = await planned(recorded, {world.OTHER_RELEASE: OtherCoins()}, release="installed")
    assert (plan.payload.epoch_id, plan.unread) == (LAST, None)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"origin": str(LAST + 1)}, f"epoch {LAST + 1} of coins is not closed, the newest that is is {LAST}"),
        ({"origin": "1"}, "epoch 1 of lane .* does not restore at every stage"),
        ({"partition": 0}, "no lane coins/0 has ever been saved"),
    ],
)
async def test_what_does_not_serve_is_named_with_the_remedy(recorded, asked, sentence):
    assert 0 not in LANES
    with pytest.raises(SettingsError, match=sentence):
        await planned(recorded, **asked)


async def test_a_catalog_without_lanes_is_named(recorded):
    log = CatalogLog(recorded.broker, world.DEPLOYMENT, recorded.clock)
    with pytest.raises(SettingsError, match="catalog stamps has no lane: see 'm0 lane list'"):
        await plans(recorded.broker, log, Asked("stamps"), INSTALLED)


async def test_one_lane_is_not_given_another_release_than_its_neighbours(recorded):
    other = bytes([13]) * 32
    with pytest.raises(SettingsError, match=r"lane coins/\d would have .* --partition out and give --release HASH"):
        await planned(recorded, partition=LANES[0], release=other.hex())
    (same,) = await planned(recorded, partition=LANES[0], release=world.COINS_RELEASE.hex())
    assert same.payload.release == world.COINS_RELEASE.hex()
    assert {plan.payload.release for plan in await planned(recorded, release=other.hex())} == {other.hex()}


async def test_a_lane_that_has_ended_is_given_no_new_life():
    log = world.season(2)
    stays = next(group for group in world.GROUPS if partition_of(group, world.PARTITIONS) == LANES[0])
    log.define(2, groups=(stays,))
    log.end(world.FIRST + 2, following=2)
    log.end(world.FIRST + 3)
    recorded = await Recorded().of(log.records)
    with pytest.raises(
        SettingsError, match=rf"lane coins/{LANES[1]} has ended .* 'm0 catalog set coins' names a group"
    ):
        await planned(recorded, partition=LANES[1])
    assert [plan.payload.partition for plan in await planned(recorded)] == [LANES[0]]


async def test_what_was_shown_is_not_written_when_that_life_has_begun_meanwhile(recorded):
    shown = await planned(recorded)
    other = await planned(recorded, partition=LANES[1], origin=str(world.FIRST))
    key = ControlKey(world.CONTROL, world.DEPLOYMENT.control_key, world.GENESIS)
    await write_rebases(recorded.broker, key, other, recorded.clock)
    with pytest.raises(SettingsError, match=rf"nothing is written: meanwhile lane coins/{LANES[1]} began life 1: run"):
        confirmed(shown, await planned(recorded))


async def test_markers_that_came_while_somebody_thought_are_gone_on_from():
    log = world.season(2)
    recorded = await Recorded().of(log.records)
    shown = await planned(recorded)
    since = len(log.records)
    world.go_on(log, [2])
    await recorded.of(log.records[since:])
    now = confirmed(shown, await planned(recorded))
    assert [(plan.payload.epoch_id, plan.payload.life) for plan in now] == [(LAST, 1)] * len(LANES)


async def test_another_number_of_lanes_than_was_shown_is_not_written(recorded):
    shown = await planned(recorded)
    with pytest.raises(SettingsError, match="meanwhile the catalog's lanes are others"):
        confirmed(shown, shown[:1])
