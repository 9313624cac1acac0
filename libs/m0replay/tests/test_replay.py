"""Replay over recorded topics: a match from the checkpoint and from the beginning, and where damage first shows."""

import re

import lanes_world as world
import msgspec
import pytest
from m0common.errors import M0Error, SettingsError
from m0common.messages import HeaderMessage, Manifest, RawEvent, encode
from m0common.stream.records import Produce
from m0common.topics import BUNDLES, FEATURES, HEADERS, MANIFESTS, NORMALIZED, PREDICTIONS, RAW, STATE
from m0lanes.generations import lanes_of, partition_of
from m0lanes.stages import Heart
from m0replay.irreplayable import Irreplayable
from m0replay.replay import replay_epoch
from msgspec.structs import replace
from recorded_world import Recorded

EPOCH = world.FIRST + 2
_manifest = msgspec.msgpack.Decoder(Manifest).decode
_raw = msgspec.json.Decoder(RawEvent).decode


@pytest.mark.parametrize("full", [False, True])
async def test_an_honest_log_matches(full: bool):
    log = await Recorded().of(world.season(5).records)
    verdict = await replay_epoch(log.broker, log.heart, log.final, "coins", EPOCH, full=full)
    assert verdict.match, verdict.difference
    assert verdict.started_from == ("the beginning of the log" if full else f"the checkpoint of epoch {EPOCH - 1}")
    assert verdict.leaves > 0
    assert verdict.bundle_hash == (await log.final("coins", EPOCH))[1]


@pytest.mark.parametrize("seed", range(5))
async def test_every_epoch_matches_from_the_checkpoint_before_it_and_the_first_from_the_beginning(seed: int):
    log = await Recorded().of(world.season(5, seed).records)
    for epoch_id in log.headers():
        verdict = await replay_epoch(log.broker, log.heart, log.final, "coins", epoch_id)
        assert verdict.match, (epoch_id, verdict.difference)
        assert ("beginning" in verdict.started_from) == (epoch_id == world.FIRST)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("mutation", ["change", "drop", "add", "swap"])
@pytest.mark.parametrize("index", [0, 1, 3, 6])
async def test_one_damaged_event_is_found_and_named(mutation: str, full: bool, index: int):
    log = await Recorded().of(world.season(4).records)
    verdict = await replay_epoch(
        log.broker, log.heart, log.final, "coins", EPOCH, full=full, mutation=mutation, index=index
    )
    assert not verdict.match
    assert "lane coins/" in verdict.difference
    assert "stage normalize, seq" in verdict.difference
    assert verdict.damaged.index == index
    assert len(verdict.damaged.offsets) == (2 if mutation == "swap" else 1)
    for offset in verdict.damaged.offsets:
        assert _raw(log.broker.log(RAW.name, verdict.damaged.partition)[offset].value).kind == "toss"


async def test_the_observation_to_damage_is_counted_around():
    log = await Recorded().of(world.season(4).records)

    async def damaged(index: int):
        verdict = await replay_epoch(log.broker, log.heart, log.final, "coins", EPOCH, mutation="drop", index=index)
        return verdict.damaged

    first = await damaged(0)
    last = await damaged(first.count - 1)
    assert last != first
    assert await damaged(first.count) == first
    assert await damaged(3 * first.count - 1) == last


async def test_an_epoch_without_observations_cannot_be_damaged():
    built = world.World()
    built.begin()
    built.open(world.GROUPS[0], "COIN_0_0", built.now_ms)
    built.end(world.FIRST)
    log = await Recorded().of(built.records)
    assert (await replay_epoch(log.broker, log.heart, log.final, "coins", world.FIRST)).match
    with pytest.raises(M0Error, match=rf"epoch {world.FIRST} of coins applied no observation .*: take another epoch"):
        await replay_epoch(log.broker, log.heart, log.final, "coins", world.FIRST, mutation="drop")


async def test_an_epoch_that_is_not_final_is_refused_with_the_remedy():
    log = await Recorded().of(world.season(2).records)
    listed = re.escape("http://api.test/v1/epochs?catalog=coins&status=finalized")
    with pytest.raises(M0Error, match=f"epoch {EPOCH + 50} of coins is not finalized on chain: see {listed} "):
        await replay_epoch(log.broker, log.heart, log.final, "coins", EPOCH + 50, api_base="http://api.test/")


async def test_a_catalog_that_there_is_not_is_answered_with_those_that_there_are():
    log = await Recorded().of(world.season(2).records)
    with pytest.raises(SettingsError, match=r"^the log has no lane of catalog nope: there is coins$"):
        await replay_epoch(log.broker, log.heart, log.final, "nope", EPOCH)
    with pytest.raises(SettingsError, match=r"^the log has no lane of catalog cions: did you mean coins\?$"):
        await replay_epoch(log.broker, log.heart, log.final, "cions", EPOCH)


async def test_replay_of_one_epoch_reads_a_bounded_number_of_records():
    read, fed = {}, {}
    for epochs in (12, 60):
        log = await Recorded().of(world.season(epochs).records)
        at = world.FIRST + epochs // 2
        verdict = await replay_epoch(log.broker, log.heart, log.final, "coins", at)
        assert verdict.match, verdict.difference
        read[epochs], fed[epochs] = dict(log.broker.read), verdict.events
        assert log.broker.read[NORMALIZED.name] == log.broker.read[FEATURES.name] == 0
    events_of_an_epoch = len(world.season(2).records) - len(world.season(1).records)
    assert max(fed.values()) <= 4 * events_of_an_epoch  # held events of two windows ahead, and both markers
    assert read[60][RAW.name] <= read[12][RAW.name] + 200
    assert sum(read[60].values()) <= sum(read[12].values()) + 2000


async def test_naming_a_difference_reads_only_what_was_said_of_the_epoch():
    read = {}
    for epochs in (12, 60):
        log = await Recorded().of(world.season(epochs).records)
        await replay_epoch(log.broker, log.heart, log.final, "coins", world.FIRST + epochs // 2, mutation="drop")
        read[epochs] = log.broker.read
    for topic in (NORMALIZED, FEATURES, PREDICTIONS, BUNDLES):
        assert read[60][topic.name] <= read[12][topic.name] + 400


async def test_a_checkpoint_that_its_header_does_not_commit_to_is_not_trusted():
    log = await Recorded().of(world.season(4).records)
    for partition in range(world.PARTITIONS):
        for record in list(log.broker.log(MANIFESTS.name, partition)):
            manifest = _manifest(record.value)
            if (manifest.stage, manifest.epoch_id) == (3, EPOCH - 1):
                break
        else:
            continue
        header = log.headers()[EPOCH - 1]
        lanes = [
            replace(r, stage_digests=(*r.stage_digests[:2], bytes(32))) if r.partition == partition else r
            for r in header.lanes
        ]
        forged = replace(header, lanes=tuple(lanes))
        where = next(p for p in range(world.PARTITIONS) if log.broker.log(HEADERS.name, p))
        records = log.broker.logs.topic(HEADERS.name).logs[where].records
        records[:] = [
            replace(r, value=encode(forged)) if msgspec.msgpack.decode(r.value, type=HeaderMessage) == header else r
            for r in records
        ]
        with pytest.raises(M0Error, match=rf"lane coins/{partition}, stage model, .*replay with FULL=1"):
            await replay_epoch(log.broker, log.heart, log.final, "coins", EPOCH)
        return
    raise AssertionError("no manifest of that epoch")


async def test_without_the_state_before_it_an_epoch_is_replayed_from_an_older_one():
    log = await Recorded().of(world.season(5).records)
    for partition in range(world.PARTITIONS):
        states = log.broker.logs.topic(STATE[2].name).logs[partition].records
        for record in list(log.broker.log(MANIFESTS.name, partition)):
            manifest = _manifest(record.value)
            if (manifest.stage, manifest.epoch_id) == (2, EPOCH):
                lost = range(manifest.to_offset - 1, manifest.to_offset)
                states[:] = [replace(r, value=b"") if r.offset in lost else r for r in states]
    verdict = await replay_epoch(log.broker, log.heart, log.final, "coins", EPOCH + 1)
    assert verdict.match, verdict.difference
    assert verdict.started_from == f"the checkpoint of epoch {EPOCH - 1}"


async def test_a_bundle_finalized_with_another_root_is_a_difference():
    async def other(_catalog: str, _epoch_id: int) -> tuple[bytes, bytes]:
        return bytes(32), bytes(32)

    log = await Recorded().of(world.season(4).records)
    verdict = await replay_epoch(log.broker, log.heart, other, "coins", EPOCH)
    assert not verdict.match
    assert "not the one finalized on chain" in verdict.difference


def generations(groups_of_two=world.GROUPS[:2], release=world.COINS_RELEASE, version=1) -> world.World:
    """Three generations: all groups, fewer (or another release), all groups again; two epochs of each."""
    log = world.World()
    log.begin()
    domain = world.DomainRef("coins", "tests", version)
    wanted = {2: {"groups": tuple(sorted(groups_of_two)), "release": release.hex(), "domain": domain}, 3: {}}
    for index in range(6):
        start = world.BASE_MS + index * world.EPOCH_MS
        payload = log.sets[log.in_force][0]
        for number, group in enumerate(world.GROUPS):
            log.now_ms = start + 10 * number
            if group in payload.groups:
                log.open(group, f"COIN_{number}_{index}", log.now_ms)
            for step in range(3):
                log.now_ms = start + 3_000 * step + number
                log.toss(group, step != 1, log.now_ms + 9_000 * step)
        following = {1: 2, 3: 3}.get(index)
        if following:
            log.define(following, **wanted[following])
        log.end(world.FIRST + index, following)
    return log


@pytest.mark.parametrize("full", [False, True])
async def test_epochs_match_before_across_and_after_a_change_of_lanes(full: bool):
    lanes = {partition_of(group, world.PARTITIONS) for group in world.GROUPS}
    few = [g for g in world.GROUPS if partition_of(g, world.PARTITIONS) == min(lanes)]
    built = generations(few)
    assert len({lanes_of(payload) for payload, _ in built.sets.values()}) == 2
    log = await Recorded().of(built.records)
    assert len(log.headers()) == 6
    for epoch_id in log.headers():
        verdict = await replay_epoch(log.broker, log.heart, log.final, "coins", epoch_id, full=full)
        assert verdict.match, (epoch_id, verdict.difference)


async def test_a_catalog_that_gains_a_lane_matches_from_the_checkpoint_before_it_had_one():
    log = world.World(groups=["penny"])
    log.begin()
    for index in range(4):
        log.now_ms = world.BASE_MS + index * world.EPOCH_MS
        for group in log.sets[log.in_force][0].groups:
            log.open(group, f"COIN_{group[:3].upper().replace('/', '_')}_{index}", log.now_ms)
            log.toss(group, True, log.now_ms + 5_000)
        if index == 1:
            log.define(2, groups=tuple(sorted(world.GROUPS)))
        log.end(world.FIRST + index, 2 if index == 1 else None)
    recorded = await Recorded().of(log.records)
    for epoch_id in range(world.FIRST + 1, world.FIRST + 4):
        verdict = await replay_epoch(recorded.broker, recorded.heart, recorded.final, "coins", epoch_id)
        assert verdict.match, (epoch_id, verdict.difference)
        assert verdict.started_from == f"the checkpoint of epoch {epoch_id - 1}"


@pytest.mark.parametrize("full", [False, True])
async def test_a_release_that_is_not_installed_is_named_with_what_to_install(full: bool):
    log = await Recorded(world.BOTH).of(generations(world.GROUPS, world.OTHER_RELEASE, 2).records)
    assert len(log.headers()) == 6
    for epoch_id in log.headers():
        verdict = await replay_epoch(log.broker, world.BOTH, log.final, "coins", epoch_id, full=full)
        assert verdict.match, (epoch_id, verdict.difference)
    with pytest.raises(M0Error, match=f"release {world.OTHER_RELEASE.hex()} .*coins, version 2, of distribution tests"):
        await replay_epoch(log.broker, world.HEART, log.final, "coins", world.FIRST + 3, full=full)
    other = Heart(world.DEPLOYMENT, {world.OTHER_RELEASE: world.OtherCoins()}, bytes(32))
    if not full:
        again = await replay_epoch(log.broker, other, log.final, "coins", world.FIRST + 3)
        assert again.match, again.difference


async def test_a_log_whose_beginning_is_gone_says_so_when_there_is_no_checkpoint_either():
    log = await Recorded().of(world.season(3).records)
    for partition in range(world.PARTITIONS):
        log.broker.truncate(RAW.name, partition, 3)
    with pytest.raises(Irreplayable, match="before offset 3: no checkpoint before it is left either"):
        await replay_epoch(log.broker, log.heart, log.final, "coins", world.FIRST)


async def test_an_epoch_that_differs_is_told_from_one_that_cannot_be_replayed():
    log = await Recorded().of(world.season(3).records)

    async def final(_catalog, _epoch_id):
        return bytes(32), bytes(32)

    for full in (False, True):
        verdict = await replay_epoch(log.broker, log.heart, final, "coins", EPOCH, full=full)
        assert not verdict.match
    for partition in range(world.PARTITIONS):
        log.broker.truncate(RAW.name, partition, 3)
    assert not (await replay_epoch(log.broker, log.heart, final, "coins", EPOCH)).match
    with pytest.raises(Irreplayable, match="before offset 3: replay without FULL=1"):
        await replay_epoch(log.broker, log.heart, log.final, "coins", EPOCH, full=True)


async def test_what_an_aborted_transaction_wrote_is_not_replayed():
    log = Recorded()
    records = world.season(3).records
    await log.of(records[:-1])
    transaction = log.broker.transaction()
    await transaction.send(Produce(RAW.name, records[-1].partition, None, b"{}"))
    await transaction.abort()
    verdict = await replay_epoch(log.broker, log.heart, log.final, "coins", world.FIRST + 1)
    assert verdict.match, verdict.difference
