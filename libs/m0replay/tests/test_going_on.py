"""Lanes whose release is not installed any more go on with the code that is, and one line says from where."""

from collections.abc import Mapping

import lanes_world as world
import msgspec
import pytest
from lanes_toy import Coins, Counted, Faces, Frequency, LastToss
from m0common.canonical import state_digest
from m0common.errors import SettingsError
from m0common.messages import StateBatch, encode
from m0common.stream.records import Produce
from m0common.stream.restored import Restored
from m0common.stream.states import restore_newest
from m0common.topics import MANIFESTS, STATE
from m0lanes import tags
from m0lanes.checkpoints import gathered
from m0lanes.entities import entity_key
from m0lanes.generations import lanes_of
from m0lanes.keeper import Keeper
from m0lanes.packing import pack
from m0lanes.pipeline import Pipeline
from m0lanes.stages import Heart
from m0replay.catalog_log import CatalogLog
from m0replay.control_keys import ControlKey
from m0replay.going_on import goes_on
from m0replay.readable import unread
from m0replay.rebasing import saved, write_rebases
from recorded_world import Recorded
from stages_world import Live

EDITED, AGAIN = bytes([13]) * 32, bytes([14]) * 32
LANES = lanes_of(world.World().payload(1))
LAST = world.FIRST + 2


class Grown(msgspec.Struct, frozen=True, array_like=True):
    tosses: int
    sides: int = 2


class Shrunk(msgspec.Struct, frozen=True, array_like=True):
    heads: int


class Turned(msgspec.Struct, frozen=True, array_like=True):
    heads: str
    tails: str


class Named(msgspec.Struct, frozen=True):
    event_ms: int
    heads: int


def model(**entities: type[msgspec.Struct]) -> Frequency:
    made = Frequency()
    made.entities = entities
    return made


def coins(
    counted: type[msgspec.Struct] = Counted, last: type[msgspec.Struct] = LastToss, faces: Frequency | None = None
) -> Coins:
    made = Coins()
    made.normalize_entities, made.feature_entities = {"counted": counted}, {"last": last}
    made.models = {"frequency": faces or Frequency()}
    return made


@pytest.fixture(scope="module")
def states() -> list[Restored]:
    """The newest state of every stage of every lane after a season."""
    keeper = Keeper()
    world.play(world.season(3).records, Pipeline(world.HEART, observer=keeper))
    return keeper.newest()


def test_what_a_release_wrote_it_reads(states):
    assert {state.manifest.stage for state in states} == {1, 2, 3, 4}
    assert unread(states, Coins()) is None


@pytest.mark.parametrize("tag", sorted(value for name, value in vars(tags).items() if name.isupper()))
def test_every_tag_of_the_heart_is_read_in_some_stage(states, tag):
    key = entity_key(tag, "coins", "1", "x")
    manifests = {state.manifest.stage: state.manifest for state in states}
    found = [unread([Restored(manifest, {key: b"\xc1"})], Coins()) or "" for manifest in manifests.values()]
    assert any("the heart knows no such entity" not in why for why in found)


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        (coins(counted=Grown), None),
        (coins(faces=model(faces=Shrunk)), "as Shrunk it would lose what it holds"),
        (coins(faces=model(faces=Turned)), "Expected `str`, got `int`"),
        (coins(last=Named), "Expected `object`, got `array`"),
        (coins(faces=model(sides=Faces)), "no entity 'faces' any more"),
    ],
    ids=["a field is added", "a field is gone", "another type", "another encoding", "another name"],
)
def test_an_entity_of_another_shape_is_read_when_nothing_of_it_is_lost(states, domain, why):
    found = unread(states, domain)
    assert (found is None) if why is None else (found is not None and why in found)


def test_an_entity_with_broken_text_in_a_field_that_is_passed_over_is_not_read(states):
    key, value, manifest = next(
        (key, value, state.manifest)
        for state in states
        for key, value in state.entities.items()
        if state.manifest.stage == 1 and key == entity_key(tags.LANE)
    )
    fields = [msgspec.msgpack.encode(field) for field in msgspec.msgpack.decode(value)]
    grown = b"\xdc" + (len(fields) + 1).to_bytes(2, "big") + b"".join(fields) + b"\xa2\xff\xfe"
    assert "can't decode byte 0xff" in (unread([Restored(manifest, {key: grown})], Coins()) or "")


def test_another_version_of_domain_or_model_begins_anew_and_counts_as_read(states):
    domain = coins(counted=Turned, last=Turned, faces=model(faces=Turned))
    assert unread(states, domain) is not None
    domain.version = 2
    domain.models["frequency"].version = 2
    assert unread(states, domain) is None


@pytest.fixture
async def live():
    """Three epochs, closed; nobody runs."""
    log = world.season(3)
    made = Live(await Recorded().of(log.records), log)
    yield made
    await made.kill()


async def read(live) -> CatalogLog:
    log = CatalogLog(live.broker, world.DEPLOYMENT, live.clock)
    await log.read()
    return log


async def looked(live, installed: Mapping[bytes, Coins], otherwise: str = ""):
    return await goes_on(live.broker, await read(live), "coins", installed, otherwise)


async def write(live, plans) -> None:
    key = ControlKey(world.CONTROL, world.DEPLOYMENT.control_key, world.GENESIS)
    await write_rebases(live.broker, key, plans, live.clock)


async def test_a_catalog_whose_release_is_installed_needs_nothing(live):
    assert await looked(live, world.BOTH.domains) is None
    assert await looked(live, {}) is None, "nobody could go on"


async def test_an_edited_domain_goes_on_from_the_newest_marker(live):
    found = await looked(live, {EDITED: Coins()})
    assert found.line == f"coins goes on with the installed code from the marker of epoch {LAST}"
    assert [(p.payload.partition, p.payload.epoch_id, p.payload.release) for p in found.plans] == [
        (lane, LAST, EDITED.hex()) for lane in LANES
    ]
    await write(live, found.plans)
    assert await looked(live, {EDITED: Coins()}) is None, "what is written needs nobody to have read it"
    live.start(Heart(world.DEPLOYMENT, {EDITED: Coins()}, bytes([4]) * 32))
    message = await live.epochs(3)
    assert {(lane.life, lane.release) for lane in message.lanes} == {(1, EDITED)}
    await live.stop()
    assert await looked(live, {EDITED: Coins()}) is None


async def test_code_that_does_not_read_the_states_goes_on_from_the_beginning(live):
    strange = coins(faces=model(faces=Turned))
    found = await looked(live, {EDITED: strange})
    assert found.line.startswith(
        "coins goes on with the installed code from the beginning of the log: the installed code does not read its "
        "states (stage 3, entity 17 coins/1/frequency/1/faces/"
    )
    await write(live, found.plans)
    strange.models["frequency"].entities = {"faces": Faces}
    live.start(Heart(world.DEPLOYMENT, {EDITED: strange}, bytes([4]) * 32))
    assert {lane.life for lane in (await live.epochs(3)).lanes} == {1}


async def test_an_edit_before_anybody_ran_the_last_one_is_one_more_life(live):
    await write(live, (await looked(live, {EDITED: Coins()})).plans)
    found = await looked(live, {AGAIN: Coins()})
    assert {plan.payload.life for plan in found.plans} == {2}
    await write(live, found.plans)
    live.start(Heart(world.DEPLOYMENT, {AGAIN: Coins()}, bytes([4]) * 32))
    message = await live.epochs(3)
    assert {(lane.life, lane.release) for lane in message.lanes} == {(2, AGAIN)}


async def test_lanes_whose_states_are_gone_are_named_beside_the_others(live):
    log = live.broker.topic(STATE[2].name).logs[LANES[0]]
    log.truncate(len(log.records))
    found = await looked(live, {EDITED: Coins()})
    assert found.line == (
        f"coins goes on with the installed code from the beginning of the log (lane {LANES[0]}); the marker of epoch "
        f"{LAST} (lanes {', '.join(map(str, LANES[1:]))})"
    )


async def test_what_nobody_could_ever_run_begins_with_code_that_does():
    log = world.World()
    log.begin()
    live = Live(await Recorded(Heart(world.DEPLOYMENT, {}, bytes([9]) * 32)).of(()), log)
    live.write(log.records)
    found = await looked(live, {EDITED: Coins()})
    assert found.line == "coins goes on with the installed code from the beginning of the log"
    await write(live, found.plans)
    live.start(Heart(world.DEPLOYMENT, {EDITED: Coins()}, bytes([4]) * 32))
    assert {(lane.life, lane.release) for lane in (await live.epochs(0)).lanes} == {(1, EDITED)}
    await live.kill()


async def test_a_domain_that_is_gone_is_replaced_by_the_one_that_the_files_name(live):
    other = coins()
    other.name = "medals"
    assert await looked(live, {EDITED: other}) is None
    assert (await looked(live, {EDITED: other}, "medals")).plans[0].payload.release == EDITED.hex()


async def test_code_that_cannot_take_over_what_is_closed_says_so(live):
    known = await saved(live.broker, world.DEPLOYMENT, "coins", LANES[0])
    (home,) = await restore_newest(live.broker, known.bundle, gathered)
    manifest, entries = home.manifest, {entity_key(tags.LANE): pack("another shape")}
    position = manifest.position + 1
    batch = StateBatch("coins", manifest.partition, manifest.life, position, tuple(entries.items()))
    where = live.broker.append([Produce(STATE[4].name, manifest.partition, None, encode(batch))])
    ((_, written),) = where.items()
    newer = msgspec.structs.replace(
        manifest,
        position=position,
        from_position=position,
        from_offset=written.first,
        to_offset=written.end,
        digest=state_digest(entries.items()),
    )
    live.broker.append([Produce(MANIFESTS.name, manifest.partition, None, encode(newer))])
    with pytest.raises(SettingsError, match=r"does not read what is closed .* put that change back"):
        await looked(live, {EDITED: Coins()})
