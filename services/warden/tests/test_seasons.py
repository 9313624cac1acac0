"""New seasons that the warden signs."""

import pytest
from catalog_world import CONTROL, PARTITIONS, World
from m0_warden.service import Warden, control_folder
from m0common.cursors import SEASON, cursor
from m0common.errors import SettingsError
from m0common.topics import TOPICS
from m0deploy.catalogs import define
from m0deploy.changes import Changes
from m0replay.control_keys import ControlKeys

NEW = "bb" * 32


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "world")
    made.groups("crypto", "btc")
    return made


async def start(world):
    """What a start of the stack does; the lines it says."""
    changes = Changes(lambda _: None, apply=True)
    await define(await world.desk(NEW), ["sports", "crypto"], ControlKeys(world.control(CONTROL)), True, changes)
    return changes.said


async def newest(world, catalog="sports"):
    return (await world.desk()).log.standing(catalog).newest


@pytest.fixture
def asked(world):
    async def write(season, groups, catalog="sports", name="sports"):
        said = {"catalog": catalog, "season": season, "groups": groups}
        await world.broker.create_topics(TOPICS, PARTITIONS)
        await world.broker.producer().send([cursor(SEASON + name, said)])

    return write


async def warden(world):
    await world.broker.create_topics(TOPICS, PARTITIONS)
    return Warden(await world.desk(), ControlKeys(world.control(CONTROL)), world.broker, ["sports", "crypto"])


async def test_a_season_that_ingest_asks_for_is_signed_once(world, asked):
    await start(world)
    await world.mark("sports", 7)
    watching = await warden(world)
    await watching.look()
    assert (await newest(world)).generation == 1
    await asked(2, ["eng.1~2", "es.1~2"])
    await watching.look()
    first = await newest(world)
    assert (first.generation, first.groups, first.release) == (2, ("eng.1~2", "es.1~2"), NEW)
    sets = world.sets("sports")
    await watching.look()
    await world.mark("sports", 8)
    await watching.look()
    assert world.sets("sports") == sets
    assert watching.problem() is None


async def test_a_start_keeps_the_season_that_the_log_has_reached(world, asked):
    await start(world)
    await world.mark("sports", 7)
    await asked(2, ["eng.1~2", "es.1~2"])
    await (await warden(world)).look()
    await world.mark("sports", 8)
    assert await start(world) == []


async def test_a_season_is_asked_for_before_the_catalog_is_defined(world, asked):
    await asked(2, ["eng.1~2"])
    watching = await warden(world)
    await watching.look()
    assert watching.problem() is None
    assert world.sets("sports") == {}


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ("{", "season:sports"),
        ({"catalog": "sports", "season": 2, "groups": []}, "groups"),
        ({"catalog": "crypto", "season": 2, "groups": ["a"]}, "the request under season:sports is about crypto"),
    ],
)
async def test_a_request_that_makes_no_sense_is_named_until_it_does(world, asked, request_, sentence):
    await start(world)
    await world.mark("sports", 7)
    watching = await warden(world)
    await world.broker.producer().send([cursor("season:sports", request_)])
    await watching.look()
    assert sentence in watching.problem()
    await asked(2, ["eng.1~2"])
    await watching.look()
    assert watching.problem() is None


async def test_a_group_that_the_catalog_never_had_is_refused(world, asked):
    await start(world)
    await world.mark("sports", 7)
    await asked(2, ["btc~2", "eng.1~2"])
    watching = await warden(world)
    before = world.sets("sports")
    await watching.look()
    assert "no season of it had the group 'btc'" in watching.problem()
    assert world.sets("sports") == before


async def test_the_broker_being_away_is_a_problem_that_passes(world, asked):
    await start(world)
    await world.mark("sports", 7)
    await asked(2, ["eng.1~2", "es.1~2"])
    watching = await warden(world)
    world.broker.faults.down = True
    await watching.look()
    assert watching.problem() is not None
    world.broker.faults.down = False
    await watching.look()
    assert watching.problem() is None
    assert (await newest(world)).generation == 2


def test_the_folder_of_control_keys_is_named_by_the_file_of_the_first(tmp_path):
    assert control_folder({"M0_CONTROL_KEY_FILE": str(tmp_path / "control.json")}) == tmp_path
    for env, sentence in (({}, "is not set"), ({"M0_CONTROL_KEY_FILE": str(tmp_path / "no" / "c.json")}, "no folder")):
        with pytest.raises(SettingsError, match=sentence):
            control_folder(env)
