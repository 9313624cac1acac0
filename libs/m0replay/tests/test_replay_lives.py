"""Replay over the beginnings of new lives: from the checkpoint before one, from the beginning, and where it cannot."""

import lanes_world as world
import msgspec
import pytest
from lanes_lives import AFTER, EDITED, LANES
from m0common.canonical import ZERO, BundleHeader
from m0common.ids import Lane
from m0common.messages import Manifest
from m0common.topics import FEATURES, MANIFESTS, RAW
from m0replay.irreplayable import Irreplayable
from m0replay.rebasing import write_rebases
from m0replay.releases import NotInstalled
from m0replay.replay import replay_epoch
from msgspec.structs import replace
from recorded_world import Recorded, planned
from stages_world import Live
from troubled_world import KEY, TWO, Troubled, rebase, rebased

LAST = world.FIRST + 2
BEHIND = LAST + 1
"""The first epoch behind the rebases of most tests."""

_manifest = msgspec.msgpack.Decoder(Manifest).decode


async def replayed(log, epoch_id: int, heart=None, **options):
    return await replay_epoch(log.broker, heart or log.heart, log.final, "coins", epoch_id, **options)


async def check_all(log, heart=None, epochs=range(world.FIRST, world.FIRST + 5), **options):
    for epoch_id in epochs:
        verdict = await replayed(log, epoch_id, heart, **options)
        assert verdict.match, (epoch_id, verdict.difference)
        begins = options.get("full") or epoch_id == BEHIND
        assert {life.life for life in verdict.lives} == ({1} if begins and epoch_id >= BEHIND else set())


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("lanes", [LANES, LANES[:1], LANES[1:]])
@pytest.mark.parametrize("since", [world.FIRST, world.FIRST + 2])
async def test_every_epoch_before_at_and_behind_a_rebase_matches(full: bool, lanes, since: int):
    log = await rebased(lanes=lanes, from_epoch=since)
    assert {r.life for r in log.headers()[BEHIND].lanes if r.partition in lanes} == {1}
    await check_all(log, full=full)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_a_life_from_the_beginning_matches(full: bool, seed: int):
    await check_all(await rebased(seed, from_beginning=True), full=full)


async def test_the_verdict_says_from_which_roots_the_lanes_went_on():
    log = await rebased(lanes=LANES[:1], from_epoch=world.FIRST + 1)
    before = log.headers()[world.FIRST + 1]
    (roots,) = [lane.stage_digests for lane in before.lanes if lane.partition == LANES[0]]
    (life,) = (await replayed(log, BEHIND)).lives
    assert (life.lane, life.life, life.epoch_id) == (Lane("coins", LANES[0]), 1, world.FIRST + 1)
    assert life.roots == roots
    anew = await rebased(lanes=LANES[:1], from_beginning=True)
    (life,) = (await replayed(anew, BEHIND)).lives
    assert life.roots == (ZERO,) * 3


async def test_a_life_under_another_release_matches_also_where_the_one_before_is_gone():
    log = await rebased(release=EDITED, heart=TWO)
    await check_all(log, full=True)
    await check_all(log)
    await check_all(log, AFTER, [BEHIND, BEHIND + 1])
    with pytest.raises(NotInstalled, match=f"generation 1 of coins runs release {world.COINS_RELEASE.hex()}"):
        await replayed(log, BEHIND, AFTER, full=True)
    with pytest.raises(NotInstalled, match=f"life 1 of lane coins/. runs release {EDITED.hex()}, which is not"):
        await replayed(log, BEHIND, world.HEART)
    with pytest.raises(NotInstalled, match=f"life 1 of lane coins/. runs release {EDITED.hex()}, which is not"):
        await replayed(log, BEHIND + 1, world.HEART)


@pytest.mark.parametrize("full", [False, True])
async def test_a_life_that_nobody_could_live_is_passed_over(full: bool):
    log = world.season(3)
    recorded = await Recorded().of(log.records)
    since = len(log.records)
    for lane in LANES:
        for life, release in [(1, bytes([99]) * 32), (2, world.COINS_RELEASE)]:
            plan = await planned(recorded, lane, release)
            roots = [bytes.fromhex(root) for root in plan.payload.roots]
            log.rebase(lane, plan.payload.epoch_id, roots, plan.payload.offset, life, release=release.hex())
    world.go_on(log, [3])
    await recorded.of(log.records[since:])
    assert {lane.life for lane in recorded.headers()[BEHIND].lanes} == {2}
    verdict = await replayed(recorded, BEHIND, full=full)
    assert verdict.match, verdict.difference
    assert {life.life for life in verdict.lives} == {2}


@pytest.mark.parametrize("full", [False, True])
async def test_what_an_old_life_said_and_no_bundle_took_is_not_taken_by_replay_either(full: bool):
    log = world.season(2)
    recorded = await Recorded().of(log.records)
    every = recorded.cores
    recorded.cores = every[:2]
    since = len(log.records)
    world.go_on(log, [2, 3])
    await recorded.of(log.records[since:])
    # what model had not read yet is lost, and the lanes said two epochs that nobody closed
    await recorded.lose(FEATURES.name)
    for lane in LANES:
        await rebase(recorded, lane)
    recorded.cores = every
    since = len(log.records)
    world.go_on(log, [4])
    await recorded.of(log.records[since:])
    assert {lane.life for lane in recorded.headers()[world.FIRST + 2].lanes} == {1}
    for epoch_id in recorded.headers():
        verdict = await replayed(recorded, epoch_id, full=full)
        assert verdict.match, (epoch_id, verdict.difference)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("mutation", ["change", "drop", "add", "swap"])
@pytest.mark.parametrize("options", [{"from_epoch": world.FIRST + 2}, {"from_epoch": world.FIRST}], ids=["new", "old"])
async def test_a_damaged_event_behind_a_rebase_is_found_and_named(mutation: str, full: bool, options):
    log = await rebased(**options)
    for index in (0, 3, 5):
        verdict = await replayed(log, BEHIND, full=full, mutation=mutation, index=index)
        assert not verdict.match
        assert "lane coins/" in verdict.difference
        assert "stage normalize, seq" in verdict.difference


def lose_states(log, stage: int, epoch_id: int) -> None:
    """As if the checkpoints at these markers were trimmed; later ones are whole."""
    for partition in range(world.PARTITIONS):
        manifests = log.broker.logs.topic(MANIFESTS.name).logs[partition].records
        for index, record in enumerate(manifests):
            manifest = _manifest(record.value)
            if (manifest.stage, manifest.epoch_id, manifest.life) == (stage, epoch_id, 0):
                manifests[index] = replace(record, value=b"")


@pytest.mark.parametrize("stage", [1, 2, 3])
async def test_where_the_state_that_a_life_begins_with_is_gone_it_is_computed_on_the_way(stage: int):
    log = await rebased(from_epoch=world.FIRST)
    lose_states(log, stage, world.FIRST)
    name = {1: "normalize", 2: "feature", 3: "model"}[stage]
    wanted = rf"life 1 of lane coins/. begins from its epoch {world.FIRST}, whose state of stage {name}, .* FULL=1"
    with pytest.raises(Irreplayable, match=wanted):
        await replayed(log, BEHIND)
    assert (await replayed(log, BEHIND, full=True)).match
    assert (await replayed(log, BEHIND + 1)).match


@pytest.mark.parametrize("full", [False, True])
async def test_a_life_that_never_began_for_want_of_its_state_is_the_past_of_the_next(full: bool):
    log = world.season(3)
    recorded = await Recorded().of(log.records)
    since = len(log.records)
    for lane in LANES:
        plan = await planned(recorded, lane)
        roots = [bytes.fromhex(root) for root in plan.payload.roots]
        log.rebase(lane, LAST, [roots[0], bytes([1]) * 32, roots[2]], plan.payload.offset)
    world.go_on(log, [3])
    await recorded.of(log.records[since:])
    assert BEHIND not in recorded.headers()
    since = len(log.records)
    for lane in LANES:
        log.rebase(lane, LAST, roots_of(recorded, lane), offset_of(recorded, lane), life=2)
    world.go_on(log, [4])
    await recorded.of(log.records[since:])
    verdict = await replayed(recorded, BEHIND, full=full)
    assert verdict.match, verdict.difference
    assert {life.life for life in verdict.lives} == {2}


def at_last(log, lane: int) -> dict[int, Manifest]:
    found = [_manifest(record.value) for record in log.broker.log(MANIFESTS.name, lane)]
    return {m.stage: m for m in found if (m.partition, m.epoch_id, m.life) == (lane, LAST, 0)}


def roots_of(log, lane: int) -> list[bytes]:
    return [at_last(log, lane)[stage].digest for stage in (1, 2, 3)]


def offset_of(log, lane: int) -> int:
    return at_last(log, lane)[1].input_offset + 1


async def test_a_life_whose_raw_is_gone_since_is_refused_with_what_is_there():
    log = await rebased(lanes=LANES[:1], from_epoch=world.FIRST)
    start = at_last(log, LANES[0])[1].held_from or at_last(log, LANES[0])[1].input_offset
    log.broker.truncate(RAW.name, LANES[0], start)
    with pytest.raises(
        Irreplayable, match=rf"a new life of lane coins/{LANES[0]} reads m0.raw from offset .*, which holds"
    ):
        await replayed(log, BEHIND)
    assert (await replayed(log, BEHIND + 1)).match


async def test_an_epoch_whose_raw_is_gone_is_refused_with_what_is_there():
    log = await rebased()
    log.broker.truncate(RAW.name, LANES[1], log.broker.logs.topic(RAW.name).logs[LANES[1]].end_offset)
    with pytest.raises(Irreplayable, match=rf"lane coins/{LANES[1]} goes on behind epoch {LAST - 1} at offset"):
        await replayed(log, LAST)


async def test_a_life_behind_a_gap_in_raw_matches():
    log = world.season(3)
    live = Live(await Recorded().of(log.records), log)
    # what closed the last epoch is gone as well, and with it what its checkpoint would go on from
    for lane in LANES:
        live.broker.truncate(RAW.name, lane, live.broker.logs.topic(RAW.name).logs[lane].end_offset)
    plans = [await planned(live, lane, from_epoch=world.FIRST) for lane in LANES]
    assert all(plan.gap for plan in plans)
    await write_rebases(live.broker, KEY, plans, live.clock)
    live.start(world.HEART)
    try:
        await live.epochs(3, 4)
    finally:
        await live.stop()

    async def final(_catalog, epoch_id):
        header = BundleHeader.decode(live.messages()[epoch_id].header)
        return header.merkle_root, header.bundle_hash

    for epoch_id in (BEHIND, BEHIND + 1):
        verdict = await replay_epoch(live.broker, world.HEART, final, "coins", epoch_id)
        assert verdict.match, (epoch_id, verdict.difference)


@pytest.mark.parametrize("from_beginning", [False, True])
async def test_what_is_read_for_an_epoch_behind_a_rebase_grows_with_the_new_life_alone(from_beginning: bool):
    read = {}
    for epochs in (6, 30):
        log = world.season(epochs)
        recorded = await Recorded().of(log.records)
        await rebase(recorded, LANES[0], from_beginning=from_beginning)
        since = len(log.records)
        world.go_on(log, [epochs])
        await recorded.of(log.records[since:])
        read[epochs] = (await replayed(recorded, world.FIRST + epochs)).events
    assert (read[30] <= read[6] + 30) != from_beginning


@pytest.mark.parametrize("seed", range(100 if world.SOAK else 5))
async def test_every_epoch_matches_whatever_became_of_lanes_generations_and_topics(seed: int):
    log = await Troubled(seed).of(8)
    assert sorted(log.headers()) == [world.FIRST + index for index in range(8)]
    for epoch_id in log.headers():
        for full in (False, True):
            verdict = await replayed(log, epoch_id, full=full)
            assert verdict.match, (epoch_id, full, verdict.difference)
