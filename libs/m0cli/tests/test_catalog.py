"""`m0 catalog`: what it prints, what it asks for and how it ends."""

import json

import pytest
from catalog_world import CONTROL, PARTITIONS, World
from m0cli.catalog import Writing, app, put
from m0cli.catalog_view import entries, listed, plan_json, plan_text
from m0common.errors import SettingsError
from m0common.stream.records import Produce
from m0common.topics import RAW
from m0replay.catalog_changes import lanes_of
from typer.testing import CliRunner

GENERATION_2 = b'"generation":2,"partitions"'
"""Stands in the record of the set of a second generation, and in no marker."""
NOW = Writing(CONTROL, ask=False, timeout_s=0, as_json=False)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "world")


def m0(*args, home, **env):
    return CliRunner().invoke(app, args, env={"M0_HOME": str(home), **env})


@pytest.mark.parametrize("command", ["list", "plan", "set", "retire"])
def test_every_command_has_help_and_json(command, tmp_path):
    done = m0(command, "--help", home=tmp_path)
    assert done.exit_code == 0
    assert "--json" in done.output


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["set"], "Missing argument"),
        (["nonsense"], "No such command"),
        (["plan", "sprots"], "did you mean sports?"),
        (["plan", "nope"], "there is crypto, sports"),
        (["set", "sports"], "give --yes"),
        (["set", "sports", "--yes"], "no control key"),
        (["set", "sports", "--yes", "--timeout", "-1"], "--timeout"),
        (["set", "sports", "--yes", "--release", "zz"], "--release zz: give 64 hex digits"),
        (["plan", "sports", "--release", "AB" * 32], "give 64 hex digits"),
        (["set", "sports", "--yes", "--release", "0" * 64], "give 64 hex digits, not all 0"),
        (["retire", "sports", "--json"], "give --yes"),
    ],
)
def test_wrong_use_exits_with_2_and_says_what_is_missing(args, sentence, tmp_path):
    done = m0(*args, home=tmp_path)
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.replace("│", " ").split())


def test_a_file_that_is_no_key_is_named(tmp_path):
    (tmp_path / "key.json").write_text("[1, 2]")
    done = m0("set", "sports", "--yes", home=tmp_path, M0_CONTROL_KEY_FILE=str(tmp_path / "key.json"))
    assert done.exit_code == 2
    assert "key.json" in "".join(done.output.replace("│", "").split())  # a long path is broken over lines


async def test_set_writes_once_and_then_has_nothing_to_change(world, capsys):
    desk = await world.desk()
    await put(desk, desk.composed("sports"), NOW)
    assert capsys.readouterr().out == "sports: generation 1 is written\n"
    await world.mark("sports", 7)
    before = world.sets("sports")
    desk = await world.desk()
    await put(desk, desk.composed("sports"), NOW)
    assert capsys.readouterr().out == "sports: nothing to change, generation 1 is as described\n"
    assert world.sets("sports") == before


async def test_set_waits_for_a_set_that_was_written_before(world, capsys):
    desk = await world.desk()
    await put(desk, desk.composed("sports"), NOW)
    await world.mark("sports", 7)
    desk = await world.desk()
    await put(desk, desk.composed("sports"), Writing(CONTROL, ask=False, timeout_s=5, as_json=True))
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (said["generation"], said["written"], said["in_force"], said["changes"]) == (1, False, True, [])


async def test_a_catalog_of_the_log_is_listed_with_what_it_is(world):
    desk = await world.desk()
    payload = desk.composed("sports")
    await put(desk, payload, NOW)
    (waiting,) = entries(await world.desk())
    assert (waiting["generation"], waiting["next_generation"]) == (0, 1)
    assert "waits for its first marker" in listed([waiting])
    await world.mark("sports", 7)
    (entry,) = entries(await world.desk())
    assert entry == {
        "catalog": "sports",
        "generation": 1,
        "lost": None,
        "next_generation": None,
        "release": payload.release,
        "groups": ["eng.1", "es.1"],
        "lanes": sorted(set(lanes_of(payload).values())),
        "epoch_ms": 20_000,
        "epoch_id": 7,
        "retired": False,
    }
    assert listed([entry]).startswith(f"sports: generation 1, release {payload.release[:12]}, groups ")
    assert listed([]) == "The log defines no catalog."


async def test_a_plan_is_shown_by_group_field_and_lane(world):
    desk = await world.desk()
    payload = desk.composed("sports")
    await put(desk, payload, NOW)
    await world.mark("sports", 7)
    lanes = lanes_of(payload)
    await world.open_market("sports", "M1", "es.1", lanes["es.1"])
    world.groups("sports", "eng.1", "it.1")
    world.guardrails("sports", "limit = 5")
    desk = await world.desk()
    plan = desk.plan(desk.composed("sports"))
    shown = plan_json(plan)
    assert shown["groups_removed"] == {"es.1": lanes["es.1"]}
    assert set(shown["groups_added"]) == {"it.1"}
    assert shown["closes"] == ["M1"]
    assert {"field": "params.limit", "before": None, "after": 5} in shown["changes"]
    text = plan_text(plan)
    assert f"  - group es.1 in lane {lanes['es.1']}" in text
    assert "  params.limit: none → 5" in text
    assert "  closes 1 markets: M1" in text


async def test_a_plan_says_in_words_that_a_catalog_ends_and_begins_again(world):
    desk = await world.desk()
    await put(desk, desk.composed("sports"), NOW)
    await world.mark("sports", 7)
    desk = await world.desk()
    assert "\n  retired\n" in plan_text(desk.plan(desk.retired("sports")))
    await put(desk, desk.retired("sports"), NOW)
    await world.mark("sports", 8)
    desk = await world.desk()
    assert "\n  begun again (it was retired)\n" in plan_text(desk.plan(desk.composed("sports")))


async def test_a_plan_without_changes_names_the_release_of_the_installed_code(world):
    desk = await world.desk()
    await put(desk, desk.composed("sports"), NOW)
    await world.mark("sports", 7)
    desk = await world.desk()
    (installed,) = desk.releases
    assert plan_text(desk.plan(desk.composed("sports"))) == f"sports: nothing to change, release {installed}"


async def lost(world, folder):
    """A world with the same log, but for the records of the second set of sports."""
    other = World(folder)
    other.groups("crypto", "btc")
    await other.desk()
    for partition in range(PARTITIONS):
        for record in world.broker.log(RAW.name, partition):
            if GENERATION_2 not in record.value:
                other.broker.append([Produce(RAW.name, partition, None, record.value)])
    return other


async def test_a_catalog_whose_set_is_lost_is_shown_and_stands_in_no_others_way(world, tmp_path):
    for groups, epoch_id in ((("eng.1",), 7), (("eng.1", "es.1"), 8)):
        world.groups("sports", *groups)
        desk = await world.desk()
        await put(desk, desk.composed("sports"), NOW)
        await world.mark("sports", epoch_id)
    world.groups("crypto", "btc")
    desk = await world.desk()
    await put(desk, desk.composed("crypto"), NOW)
    desk = await (await lost(world, tmp_path / "other")).desk()
    crypto, sports = entries(desk)
    assert (crypto["lost"], crypto["next_generation"]) == (None, 1)
    assert (sports["lost"], sports["generation"], sports["epoch_id"], sports["groups"]) == (2, 2, 8, [])
    assert "sports: generation 2, whose set is not in the log any more" in listed([crypto, sports])
    await put(desk, desk.composed("crypto"), NOW)
    with pytest.raises(SettingsError, match=r"catalog sports: the set of generation 2 is not in m0\.raw"):
        desk.composed("sports")
