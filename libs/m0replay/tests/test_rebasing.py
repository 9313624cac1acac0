"""Where a new life begins, and that the live stages go on with it."""

import lanes_world as world
import pytest
from lanes_toy import Coins
from m0common.canonical import ZERO, BundleHeader
from m0common.errors import SettingsError
from m0common.messages import HeaderMessage, encode
from m0common.stream.records import Produce
from m0common.topics import FEATURES, MANIFESTS, RAW, STATE
from m0lanes.control import LIFE_MAX
from m0lanes.generations import lanes_of
from m0lanes.stages import Heart
from m0replay.catalog_log import CatalogLog
from m0replay.control_keys import ControlKey
from m0replay.lanes import lane_rows
from m0replay.lives import Begun
from m0replay.rebasing import check_rebase, plan_anew, saved, write_rebases
from msgspec.structs import replace
from recorded_world import Recorded, planned, read_log
from stages_world import Live

EDITED = bytes([13]) * 32
"""The same code under another hash, as after an edited comment."""
AFTER = Heart(world.DEPLOYMENT, {EDITED: Coins()}, bytes([4]) * 32)
BOTH = Heart(world.DEPLOYMENT, {world.COINS_RELEASE: Coins(), EDITED: Coins()}, bytes([5]) * 32)
LANES = lanes_of(world.World().payload(1))
LANE = LANES[0]
LAST = world.FIRST + 2


@pytest.fixture
async def live():
    """Three epochs, closed; nobody runs."""
    log = world.season(3)
    made = Live(await Recorded().of(log.records), log)
    yield made
    await made.kill()


async def plan(live, lane=LANE, release=None, **options):
    return await planned(live, lane, release, **options)


async def write(live, plans) -> None:
    key = ControlKey(world.CONTROL, world.DEPLOYMENT.control_key, world.GENESIS)
    await write_rebases(live.broker, key, plans, live.clock)


async def manifests_at(live, epoch_id):
    known = (await saved(live.broker, world.DEPLOYMENT, "coins", LANE)).lane
    return {m.stage: m for m in known if m.epoch_id == epoch_id}


async def test_a_lane_goes_on_from_its_newest_marker_under_the_release_that_runs_it(live):
    made = await plan(live)
    at = await manifests_at(live, LAST)
    assert made.payload.roots == tuple(at[stage].digest.hex() for stage in (1, 2, 3))
    assert (made.payload.life, made.payload.epoch_id) == (1, LAST)
    assert (made.payload.offset, made.gap) == (at[1].input_offset + 1, False)
    assert made.payload.release == world.COINS_RELEASE.hex()
    assert made.origin == f"the marker of epoch {LAST}"


async def test_an_older_marker_or_the_beginning_may_be_asked_for(live):
    older = await plan(live, from_epoch=world.FIRST)
    assert older.payload.roots[0] == (await manifests_at(live, world.FIRST))[1].digest.hex()
    anew = await plan(live, release=EDITED, from_beginning=True)
    assert (anew.payload.roots, anew.payload.offset, anew.gap) == ((ZERO.hex(),) * 3, 0, False)
    assert anew.payload.release == EDITED.hex()
    assert anew.origin == "the beginning of the log"


async def test_an_epoch_that_the_lane_has_not_marked_is_refused(live):
    with pytest.raises(SettingsError, match=r"does not restore at every stage: leave --from out"):
        await plan(live, from_epoch=world.FIRST - 1)


async def test_events_that_raw_has_lost_are_a_declared_gap(live):
    end = len(live.broker.topic(RAW.name).logs[LANE].records)
    behind = (await plan(live)).payload.offset
    live.broker.truncate(RAW.name, LANE, behind - 1)
    assert not (await plan(live)).gap
    live.write([live.world.toss(live.world.groups[0], True, live.clock.now_ms(), partition=LANE)] * 3)
    live.broker.truncate(RAW.name, LANE, end + 2)
    made = await plan(live)
    assert (made.payload.epoch_id, made.payload.offset, made.gap) == (LAST, end + 2, True)
    assert f"without the events from offset {behind} to {end + 2}, which are gone" in made.origin
    anew = await plan(live, from_beginning=True)
    assert (anew.payload.offset, anew.gap) == (end + 2, True)
    assert "it goes on with generation 1" in anew.origin


async def test_a_lane_that_was_never_saved_is_refused(live):
    nowhere = next(p for p in range(world.PARTITIONS) if p not in LANES)
    with pytest.raises(SettingsError, match=rf"no lane coins/{nowhere} has ever been saved"):
        await plan(live, nowhere)
    with pytest.raises(SettingsError, match="no lane stamps/1"):
        await planned(live, 1, catalog="stamps")
    for planning in (
        plan(live, 1023),
        plan_anew(live.broker, await read_log(live), "coins", 1023, world.COINS_RELEASE),
    ):
        with pytest.raises(SettingsError, match=r"there is no partition 1023: m0\.raw\.v1 has 4, counted from 0"):
            await planning


@pytest.mark.parametrize("stage", [1, 2, 3])
async def test_where_no_state_restores_the_lane_begins_anew(live, stage):
    await live.recreate(STATE[stage].name)
    made = await plan(live)
    assert made.payload.roots == (ZERO.hex(),) * 3
    assert made.unread is None
    with pytest.raises(SettingsError, match="does not restore"):
        await plan(live, from_epoch=LAST)


async def test_an_epoch_that_the_catalog_has_not_closed_is_said_again():
    log = world.season(2)
    recorded = await Recorded().of(log.records)
    # nobody bundles from here on
    recorded.cores = recorded.cores[:3]
    since = len(log.records)
    world.go_on(log, [2, 3])
    await recorded.of(log.records[since:])
    assert (await planned(recorded, LANE)).payload.epoch_id == world.FIRST + 1
    with pytest.raises(
        SettingsError, match=f"{world.FIRST + 3} of coins is not closed, the newest .* {world.FIRST + 1}"
    ):
        await planned(
            recorded,
            LANE,
            from_epoch=world.FIRST + 3,
        )


async def test_a_life_is_counted_from_what_the_log_begins_whether_or_not_anybody_has_read_it(live):
    control = CatalogLog(live.broker, world.DEPLOYMENT, live.clock)
    await write(live, [await plan(live, release=EDITED)])
    await control.read()
    begun = control.lives.newest("coins", LANE)
    assert begun == Begun(1, EDITED.hex(), 1)
    made = await plan(live)
    assert (made.payload.life, made.payload.release) == (2, EDITED.hex())
    live.write([live.world.rebase(LANE, 0, [ZERO] * 3, 0, life=900, key=world.STRANGER)])
    await control.read()
    assert control.lives.newest("coins", LANE) == begun
    assert control.lives.newest("coins", LANES[1]) is None


@pytest.mark.parametrize("life", [1, 5, LIFE_MAX, 1 << 40])
async def test_a_manifest_of_a_life_that_no_signed_rebase_begins_counts_for_nothing(live, life):
    before = await plan(live)
    rows = await lane_rows(live.broker, world.DEPLOYMENT)
    signed = world.World().rebase(LANE, 0, [ZERO] * 3, 0, life=min(life, LIFE_MAX), key=world.STRANGER).value
    for manifest in (await saved(live.broker, world.DEPLOYMENT, "coins", LANE)).lane:
        for said in (b"", signed):
            forged = replace(manifest, life=life, release=EDITED, rebase=said)
            live.broker.append([Produce(MANIFESTS.name, LANE, None, encode(forged))])
    assert await plan(live) == before
    assert await lane_rows(live.broker, world.DEPLOYMENT) == rows
    await write(live, [before])


async def test_of_several_rebases_none_is_written_when_a_lane_would_refuse_one(live):
    fine, other = await plan(live), await plan(live, LANES[1])
    broken = other._replace(payload=replace(other.payload, life=1 << 32))
    before = [len(log.records) for log in live.broker.topic(RAW.name).logs]
    with pytest.raises(SettingsError, match=rf"coins:{LANES[1]}:{1 << 32} is not written, .*`\$\.life`"):
        await write(live, [fine, broken])
    assert [len(log.records) for log in live.broker.topic(RAW.name).logs] == before


async def test_what_is_not_read_is_passed_over_with_all_that_its_release_wrote(live):
    looked = []

    def unread(states):
        looked.append(states[0].manifest.epoch_id)
        return "entity faces is no more"

    made = await plan(live, unread=unread)
    assert looked == [LAST]
    assert made.payload.roots == (ZERO.hex(),) * 3
    assert made.unread == "entity faces is no more"
    with pytest.raises(SettingsError, match=r"is not read by the installed code \(entity faces is no more\)"):
        await plan(live, from_epoch=LAST, unread=unread)


def roots(messages: dict[int, HeaderMessage]) -> dict[int, bytes]:
    return {epoch: BundleHeader.decode(message.header).merkle_root for epoch, message in messages.items()}


def uninterrupted(live) -> dict[int, bytes]:
    """The Merkle roots of the same log, had nothing happened to it."""
    log = [r for p in range(world.PARTITIONS) for r in live.broker.log(RAW.name, p) if b'"rebase"' not in r.value]
    closed = world.play(log)
    return {epoch.header.epoch_id: BundleHeader.decode(epoch.header.header).merkle_root for epoch in closed}


@pytest.mark.parametrize("heart", [world.HEART, AFTER], ids=["same release", "another release"])
@pytest.mark.parametrize("beginning", [False, True], ids=["marker", "beginning"])
async def test_the_stages_go_on_under_the_new_life(live, heart, beginning):
    (release,) = heart.domains
    await write(live, [await plan(live, lane, release, from_beginning=beginning) for lane in LANES])
    live.start(heart)
    await live.epochs(3)
    message = await live.epochs(4)
    assert {(lane.life, lane.release) for lane in message.lanes} == {(1, release)}
    assert {lane.rebase == ZERO for lane in message.lanes} == {False}
    assert roots(live.messages()) == uninterrupted(live)
    assert live.letters() == []
    assert [loop.notes() or loop.ready() for loop in live.loops] == [None] * 4


async def test_a_release_and_back_again_are_two_lives(live):
    for life, heart in enumerate([AFTER, world.HEART, AFTER], 1):
        (release,) = heart.domains
        await write(live, [await plan(live, lane, release) for lane in LANES])
        live.start(heart)
        message = await live.epochs(2 + life)
        assert {(lane.life, lane.release) for lane in message.lanes} == {(life, release)}
        await (live.stop() if life == 1 else live.kill())
    assert roots(live.messages()) == uninterrupted(live)


async def test_a_deleted_topic_between_the_lanes_is_repaired(live):
    await live.recreate(FEATURES.name)
    await write(live, [await plan(live, lane) for lane in LANES])
    live.start(world.HEART)
    message = await live.epochs(3)
    assert {lane.life for lane in message.lanes} == {1}
    assert roots(live.messages()) == uninterrupted(live)
    assert [loop.notes() or loop.ready() for loop in live.loops] == [None] * 4


async def switched(heart=world.HEART) -> tuple[world.World, Recorded]:
    """Three epochs and a switch to another release, which the log holds and one lane has not read."""
    log = world.season(3)
    recorded = await Recorded(heart).of(log.records)
    since = len(log.records)
    log.define(2, release=EDITED.hex())
    log.end(LAST + 1, 2)
    await recorded.of([record for record in log.records[since:] if record.partition != LANE])
    mine = [record for record in log.records[since:] if record.partition == LANE]
    recorded.broker.append([Produce(RAW.name, LANE, record.key, record.value) for record in mine])
    return log, recorded


async def test_a_lane_that_has_not_read_a_switch_goes_on_under_the_release_that_is_in_force_behind_it():
    _, recorded = await switched()
    assert (await planned(recorded, LANE)).payload.release == EDITED.hex()
    log = await read_log(recorded)
    await check_rebase(recorded.broker, log, "coins", [LANE], None)
    with pytest.raises(SettingsError, match="leave --partition out and give --release HASH"):
        await check_rebase(recorded.broker, log, "coins", [LANE], world.COINS_RELEASE)


@pytest.mark.parametrize("from_beginning", [False, True])
async def test_a_switch_that_raw_has_lost_in_one_lane_is_joined_by_a_plain_rebase(from_beginning: bool):
    log, recorded = await switched(BOTH)
    live = Live(recorded, log)
    live.broker.truncate(RAW.name, LANE, live.broker.logs.topic(RAW.name).logs[LANE].end_offset)
    made = await plan(live, from_beginning=from_beginning)
    assert made.gap
    assert made.payload.in_force is not None
    assert made.payload.in_force.generation == 2
    await write(live, [made])
    live.start(BOTH)
    try:
        header = await live.epochs(4, 5, 6)
    finally:
        await live.stop()
    assert {(lane.partition, lane.release) for lane in header.lanes} == {(lane, EDITED) for lane in LANES}
    assert header.generation == 2
