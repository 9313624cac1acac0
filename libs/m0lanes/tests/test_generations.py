"""Generations: a set defines, the marker activates, in every lane at the same barrier."""

import lanes_world as world
import msgspec
import pytest
from lanes_first import First
from lanes_fleet import Fleet
from lanes_steps import EPOCH, FIRST, NEW_KEY, START, agrees, certificate, epochs, errors, opened, parked, ran, where
from m0lanes.feature import features_hash
from m0lanes.generations import GROUPS_AT_HAND, lanes_of, partition_of
from m0lanes.set_rules import SETS_MAX
from solders.keypair import Keypair


def test_before_the_first_set_nothing_of_a_catalog_is_taken():
    log = world.World()
    log.define(1)
    log.open("penny", "EARLY", START)
    log.toss("penny", True, START + 1)
    log.end(FIRST - 1, following=1)
    log.open("penny", "COIN", START)
    log.end(FIRST)
    closed, pipeline = ran(log)
    assert epochs(closed) == [FIRST]
    assert world.leaves(closed) == {FIRST: {"COIN": ((500_000_000, 500_000_000), features_hash("COIN", ()))}}
    assert pipeline.cores[0].drops["other", "no_catalog_names_the_group"] == 2
    assert errors(pipeline) == []


def test_a_marker_before_any_set_is_a_letter_and_makes_no_lane():
    log = world.World()
    log.sets[1] = (log.payload(1), bytes(32))
    log.end(FIRST - 1, following=1)
    _, pipeline = ran(log)
    assert set(errors(pipeline)) == {"unknown_lane"}
    assert pipeline.cores[0].reports() == []


def test_a_set_takes_force_at_the_marker_wherever_it_was_read_before_it():
    found = []
    for order in range(3):
        log = opened()
        lanes = lanes_of(log.payload(2))
        halves = [[], lanes[:1], lanes][order]
        log.define(2, params={"block_above": 0, "signer_set_id": 1}, partitions=halves)
        for group in world.GROUPS:
            log.toss(group, False, START + EPOCH + 1)
        log.define(2, params={"block_above": 0, "signer_set_id": 1}, partitions=sorted(set(lanes) - set(halves)))
        log.end(FIRST + 1, following=2)
        log.end(FIRST + 2)
        closed, pipeline = ran(log)
        assert errors(pipeline) == []
        agrees(log)
        found.append(world.leaves(closed))
    assert found[0] == found[1] == found[2]
    assert all(p for p, _ in found[0][FIRST + 1].values())
    assert found[0][FIRST + 2].keys() == found[0][FIRST + 1].keys()


def test_a_lane_that_lacks_the_set_that_a_marker_names_parks_loudly_and_goes_on_once_it_is_written():
    log = opened()
    missing = where("penny")
    lanes = lanes_of(log.payload(2))
    log.define(2, partitions=[p for p in lanes if p != missing])
    log.end(FIRST + 1, following=2)
    log.toss("penny", True, START + 2 * EPOCH + 1)
    log.end(FIRST + 2)
    closed, pipeline = ran(log)
    assert epochs(closed) == [FIRST]
    (reason,) = parked(pipeline)
    assert "names generation 2" in reason
    assert f"partition {missing} with 'm0 catalog set coins'" in reason
    first = First(world.HEART, log.records)
    first.check_every_restart()
    # the others go on meanwhile
    assert {r.epoch_id for r in first.core.reports() if r.parked is None} == {FIRST + 2}

    log.define(2, partitions=[missing])
    log.toss("penny", True, START + 3 * EPOCH + 1)
    log.end(FIRST + 3)
    first = First(world.HEART, log.records)
    first.check_every_restart()
    fleet = Fleet(world.HEART, 1, dies=0.05)
    fleet.write(log.records)
    fleet.run_until_idle()
    assert fleet.parked() == []
    assert sorted(epoch for _, epoch in fleet.topics.headers()) == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
    assert fleet.topics.letters == {}
    assert world.headers(world.Follower().play(log.records)) == fleet.topics.headers()


def test_a_set_that_no_marker_names_has_no_effect():
    plain, extra = opened(), opened()
    extra.define(2, groups=("penny",), params={"block_above": 0})
    for log in (plain, extra):
        log.end(FIRST + 1)
        log.end(FIRST + 2)
    closed, pipeline = ran(extra)
    assert world.leaves(closed) == world.leaves(ran(plain)[0])
    assert errors(pipeline) == []


def test_of_two_sets_of_one_generation_the_marker_chooses():
    log = opened()
    log.define(2, groups=("dime", "penny"))
    chosen = log.sets[2]
    log.define(2, groups=("euro",))
    log.sets[2] = chosen
    log.end(FIRST + 1, following=2)
    log.end(FIRST + 2)
    closed, pipeline = ran(log)
    coins = {group: f"COIN_{number}" for number, group in enumerate(sorted(world.GROUPS))}
    assert world.leaves(closed)[FIRST + 2].keys() == {coins["dime"], coins["penny"]}
    assert errors(pipeline) == []
    agrees(log)
    # the other one is gone for good
    log.define(2, groups=("euro",))
    _, pipeline = ran(log)
    assert set(errors(pipeline)) == {"old_generation"}


def test_generations_only_grow():
    log = opened()
    log.define(3)
    log.end(FIRST + 1, following=3)
    log.define(2)
    lanes = lanes_of(log.payload(1))
    for partition in lanes:
        log.raw(partition, log.marker(FIRST + 2, following=3))
        log.raw(partition, log.marker(FIRST + 2, generation=1))
    log.end(FIRST + 2)
    closed, pipeline = ran(log)
    assert errors(pipeline) == ["old_generation"] * 3 * len(lanes)
    assert epochs(closed) == [FIRST, FIRST + 1, FIRST + 2]
    assert parked(pipeline) == []


def test_a_marker_of_a_generation_that_a_lane_never_saw_begin_parks_it():
    log = opened()
    log.define(2)
    skipped = where("penny")
    log.end(FIRST + 1, following=2, partitions=[p for p in lanes_of(log.payload(2)) if p != skipped])
    log.end(FIRST + 2)
    _, pipeline = ran(log)
    (reason,) = parked(pipeline)
    assert "generation 2, 1 is in force: begin a new life with 'm0 lane rebase coins'" in reason


def test_a_marker_carried_into_a_partition_that_it_is_not_about_stops_no_lane():
    log = opened(("euro",))
    log.define(2, groups=("penny",))
    ended, other = where("euro"), where("penny")
    log.end(FIRST + 1, following=2)
    log.define(3, groups=("BTC/USD",))
    log.end(FIRST + 2, following=3)
    log.raw(ended, log.records[-1].value)  # names a set that the ended lane was never told of
    log.raw(where("BTC/USD"), next(r.value for r in log.records if r.partition == ended))
    log.define(4, groups=("euro",))
    log.end(FIRST + 3, following=4)
    log.raw(other, log.records[-1].value)
    log.open("euro", "AGAIN", START + 4 * EPOCH)
    log.end(FIRST + 4)
    closed, pipeline = ran(log)
    assert epochs(closed) == [FIRST + n for n in range(5)]
    assert parked(pipeline) == []
    agrees(log)


def test_a_new_lane_that_the_marker_of_its_beginning_never_reached_parks():
    log = opened(("euro",))
    log.define(2, groups=("euro", "penny"))
    log.end(FIRST + 1, following=2, partitions=[where("euro")])
    log.end(FIRST + 2)
    _, pipeline = ran(log)
    (reason,) = parked(pipeline)
    assert "generation 2, which never began here: begin a new life with 'm0 lane rebase coins'" in reason


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"key": world.STRANGER}, "wrong_signature"),
        ({"key": world.CLOCK}, "wrong_signature"),
        ({"epoch_ms": 2 * EPOCH}, "epoch_ms_changed"),
        ({"partitions": 8}, "wrong_partitions"),
        ({"groups": ("penny", "dime")}, "invalid_payload"),
        ({"groups": ("dime", "dime")}, "invalid_payload"),
        ({"release": "0" * 64}, "invalid_payload"),
    ],
)
def test_a_set_that_may_not_be_is_one_letter_in_each_lane_and_changes_nothing(changes: dict, error: str):
    log = opened()
    lanes = lanes_of(log.payload(1))
    if "partitions" in changes:
        changes = {"partitions": lanes}
        payload = log.payload
        log.payload = lambda n, **more: msgspec.structs.replace(payload(n, **more), partitions=8)
        log.define(2, **changes)
        log.payload = payload
    else:
        log.define(2, partitions=lanes, **changes)
    log.end(FIRST + 1)
    closed, pipeline = ran(log)
    assert errors(pipeline) == [error] * len(lanes)
    assert epochs(closed) == [FIRST, FIRST + 1]
    agrees(log)


@pytest.mark.parametrize(("key", "error"), [(world.STRANGER, "wrong_signature"), (world.CONTROL, "invalid_payload")])
def test_whose_word_a_set_is_comes_before_what_it_says(key: Keypair, error: str):
    log = opened()
    log.event("", "catalog_set", {"catalog": "coins", "groups": [1, 2]}, log.now_ms, source="x", key=key, partition=0)
    _, pipeline = ran(log)
    assert errors(pipeline) == [error]


def test_groups_that_strangers_name_are_not_kept_for_ever():
    core = world.HEART.normalize()
    log = opened()
    for record in log.records:
        list(core.feed(record))
    for number in range(GROUPS_AT_HAND + 100):
        record = log.toss(f"stranger-{number}", True, log.now_ms, partition=0)
        list(core.feed(record))
    assert partition_of.cache_info().currsize <= GROUPS_AT_HAND


def test_a_first_set_with_a_wrong_epoch_length_does_not_bind_the_catalog():
    log = world.World()
    log.define(1, epoch_ms=10 * EPOCH)
    log.define(2)
    log.end(FIRST - 1, following=2)
    log.open("penny", "COIN", START)
    log.end(FIRST)
    closed, pipeline = ran(log)
    assert epochs(closed) == [FIRST]
    assert errors(pipeline) == []
    agrees(log)


def test_the_control_key_is_handed_on_by_certificates_and_the_old_one_signs_no_more():
    log = opened()
    handed = (certificate(world.CONTROL, NEW_KEY),)
    log.define(2, key=NEW_KEY)  # nobody vouches for it yet
    log.define(2, key=world.CONTROL, certificates=handed)  # it has given the key away itself
    _, pipeline = ran(log)
    lanes = len(lanes_of(log.payload(1)))
    assert errors(pipeline) == ["wrong_signature"] * 2 * lanes
    log.define(2, key=NEW_KEY, certificates=handed)
    log.end(FIRST + 1, following=2)
    log.define(3, key=world.CONTROL)
    log.define(3, key=world.CONTROL, certificates=handed)
    log.define(3, key=world.STRANGER, certificates=(certificate(world.CONTROL, world.STRANGER),))
    log.define(3, key=world.STRANGER, certificates=(*handed, certificate(world.CONTROL, world.STRANGER)))
    forged = msgspec.structs.replace(certificate(world.STRANGER, world.STRANGER), old=handed[0].new)
    log.define(3, key=world.STRANGER, certificates=(*handed, forged))
    log.define(3, key=NEW_KEY, certificates=handed)
    log.end(FIRST + 2, following=3)
    log.end(FIRST + 3)
    closed, pipeline = ran(log)
    assert errors(pipeline) == ["wrong_signature"] * 7 * lanes
    assert epochs(closed) == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3]
    assert closed[-1].header.generation == 3
    agrees(log)


@pytest.mark.parametrize("begun", [True, False], ids=["ended", "not in force yet"])
def test_copies_of_sets_that_are_not_about_a_lane_use_up_nothing_of_it(begun: bool):
    stays, leaves, *_ = sorted({where(group): group for group in world.GROUPS}.values())
    log = opened((stays, leaves) if begun else (stays,))
    if not begun:
        log.define(2, groups=(stays, leaves))
    log.define(3, groups=(stays,))
    log.end(FIRST + 1, following=3)
    for number in range(SETS_MAX + 1):
        generation = 4 + number
        said, *_ = log.define(generation, groups=(stays,), params={"signer_set_id": generation})
        log.raw(where(leaves), said.value)  # as a stranger would carry it there
        log.end(FIRST + 2 + number, following=generation)
    last = FIRST + 3 + SETS_MAX
    log.define(last, groups=(stays, leaves))
    log.end(last, following=last)
    log.end(last + 1)
    closed, pipeline = ran(log)
    assert closed[-1].header.epoch_id == last + 1
    assert [lane.partition for lane in closed[-1].header.lanes] == sorted((where(stays), where(leaves)))
    assert errors(pipeline) == ["wrong_partition"] * (SETS_MAX + 1)
