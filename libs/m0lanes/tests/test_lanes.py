"""Lanes, groups and domain versions that come and go, and what is held over the barrier at which they do."""

import random

import lanes_world as world
import pytest
from lanes_steps import (
    EPOCH,
    FIRST,
    OTHER,
    START,
    agrees,
    epochs,
    errors,
    opened,
    ran,
    where,
)
from m0common.canonical import BundleHeader
from m0common.ids import Lane
from m0lanes.feature import features_hash


def test_a_group_that_is_removed_loses_its_markets_at_that_barrier_and_its_lane_ends():
    log = opened()
    gone = "BTC/USD"
    kept = tuple(sorted(set(world.GROUPS) - {gone}))
    alone = all(where(group) != where(gone) for group in kept)
    log.define(2, groups=kept)
    log.toss(gone, False, START + EPOCH + 5)
    log.open(gone, "HELD", START + 2 * EPOCH + 5)  # held over the barrier: its group is gone when its window opens
    log.end(FIRST + 1, following=2)
    log.toss(gone, False, START + 2 * EPOCH + 5)
    log.end(FIRST + 2)
    closed, pipeline = ran(log)
    found = world.leaves(closed)
    assert len(found[FIRST + 1]) == 4
    assert len(found[FIRST + 2]) == 3
    assert "HELD" not in found[FIRST + 2]
    assert errors(pipeline) == []
    retired = {r.lane.partition for r in pipeline.cores[0].reports() if r.retired}
    assert retired == ({where(gone)} if alone else set())
    agrees(log)


def test_what_waits_for_a_group_that_is_removed_counts_for_nothing_though_its_lane_goes_on():
    log = opened(("dime", "penny"))
    assert where("dime") == where("penny")
    log.define(2, groups=("dime",))
    log.open("penny", "HELD", START + 2 * EPOCH + 5)
    log.toss("penny", True, START + 2 * EPOCH + 6)
    log.end(FIRST + 1, following=2)
    log.end(FIRST + 2)
    closed, pipeline = ran(log)
    assert list(world.leaves(closed)[FIRST + 2]) == ["COIN_0"]
    assert errors(pipeline) == []
    assert pipeline.cores[0].drops == {
        ("registry", "no_catalog_names_the_group"): 1,
        ("table", "no_catalog_names_the_group"): 1,
    }
    agrees(log)


def test_a_group_added_later_begins_behind_the_barrier_in_a_lane_of_its_own_if_need_be():
    log = opened(("dime",))
    added = tuple(sorted(world.GROUPS))
    log.define(2, groups=added)
    for group in added:
        log.toss(group, True, START + EPOCH + 5)
        log.toss(group, True, START + 2 * EPOCH + 1)  # dated behind the barrier, written before it
    log.end(FIRST + 1, following=2)
    for number, group in enumerate(added):
        log.open(group, f"NEW_{number}", START + 2 * EPOCH)
    log.end(FIRST + 2)
    closed, pipeline = ran(log)
    found = world.leaves(closed)
    assert errors(pipeline) == []
    assert list(found[FIRST + 1]) == ["COIN_0"]
    odds = {market: p for market, (p, _) in found[FIRST + 2].items()}
    half = (500_000_000, 500_000_000)
    for number, group in enumerate(added):
        assert (odds[f"NEW_{number}"] == half) == (group != "dime")
    assert [lane.partition for lane in closed[-1].header.lanes] == sorted({where(g) for g in added})
    agrees(log)


def test_a_retired_catalog_says_its_last_leaves_and_goes_on_when_it_is_opened_again():
    log = opened()
    log.define(2, retired=True)
    log.end(FIRST + 1, following=2)
    log.toss("penny", False, START + 2 * EPOCH + 1)
    log.define(3)
    log.end(FIRST + 7, following=3)
    log.open("penny", "AGAIN", START + 8 * EPOCH)
    log.toss("penny", True, START + 8 * EPOCH + 1)
    log.end(FIRST + 8)
    closed, pipeline = ran(log)
    found = world.leaves(closed)
    assert errors(pipeline) == []
    assert epochs(closed) == [FIRST, FIRST + 1, FIRST + 8]
    assert len(found[FIRST + 1]) == 4
    # what was learned before stays, what was tossed in between is nobody's, markets of before are closed
    assert {market: p for market, (p, _) in found[FIRST + 8].items()} == {"AGAIN": (750_000_000, 250_000_000)}
    first, last = (BundleHeader.decode(closed[i].header.header) for i in (1, 2))
    assert last.prev_bundle_hash == first.bundle_hash
    agrees(log)


def test_a_domain_version_that_returns_begins_anew_live_and_restarted_alike():
    log = opened()
    empty = {f"COIN_{n}": features_hash(f"COIN_{n}", ()) for n in range(4)}
    log.define(2, **OTHER)
    log.end(FIRST + 1, following=2)
    log.end(FIRST + 2)
    log.define(3)
    log.end(FIRST + 3, following=3)
    log.end(FIRST + 4)
    closed, pipeline = ran(log, world.BOTH)
    hashes = {epoch: {m: said for m, (_, said) in found.items()} for epoch, found in world.leaves(closed).items()}
    assert hashes[FIRST + 1] != empty
    assert hashes[FIRST + 2] == hashes[FIRST + 4] == empty
    assert errors(pipeline) == []
    agrees(log, world.BOTH)


def test_a_domain_version_begins_anew_also_when_the_catalog_was_retired_in_between():
    log = opened()
    for generation, changes in ((2, {"retired": True}), (3, OTHER), (4, {"retired": True}), (5, {})):
        log.define(generation, **changes)
        log.end(FIRST + generation, following=generation)
    log.open("penny", "AGAIN", START + 6 * EPOCH)
    log.end(FIRST + 6)
    closed, pipeline = ran(log, world.BOTH)
    assert errors(pipeline) == []
    (_, row), *_ = world.leaves(closed)[FIRST + 6].values()
    assert row == features_hash("AGAIN", ())
    first = agrees(log, world.BOTH)
    owners = [key for key, _ in first.core._slots.get(Lane("coins", where("penny"))).state.entities.each(b"\x10")]
    assert owners == []


def test_what_is_held_over_a_barrier_keeps_the_verdict_of_its_place():
    """A horizon that shrinks or grows while an event waits does not make it too old, or old enough."""
    for before, after in ((600_000, 2_000), (2_000, 600_000)):
        log = world.World()
        log.define(1, horizon_ms=before)
        log.end(FIRST - 1, following=1)
        log.open("penny", "COIN", START)
        log.define(2, horizon_ms=after)
        log.now_ms = START + EPOCH + 30_000  # the clock is late
        log.toss("penny", True, START + EPOCH + 10)
        log.end(FIRST, following=2)
        log.end(FIRST + 1)
        closed, pipeline = ran(log)
        (p, _), *_ = world.leaves(closed)[FIRST + 1].values()
        assert (p[0] > 500_000_000) == (before == 600_000)
        assert errors(pipeline) == []
        agrees(log)


def test_a_group_named_again_while_one_of_its_events_waits_takes_it_live_and_restarted_alike():
    log = world.World()
    lean = tuple(sorted(set(world.GROUPS) - {"penny"}))
    log.begin()
    log.now_ms = START + EPOCH
    log.toss("penny", True, START + 3 * EPOCH + 5)
    log.define(2, groups=lean)
    log.end(FIRST, following=2)
    log.toss("penny", True, START + 3 * EPOCH + 6)  # nobody's where it stands
    log.define(3)
    log.end(FIRST + 1, following=3)
    log.open("penny", "COIN", START + 2 * EPOCH)
    log.end(FIRST + 2)
    log.end(FIRST + 3)
    closed, pipeline = ran(log)
    assert errors(pipeline) == []
    # a lane that ended held nothing over its end; one that went on did
    shared = any(where(group) == where("penny") for group in lean)
    (p, _), *_ = world.leaves(closed)[FIRST + 3].values()
    assert p[0] == (666_666_666 if shared else 500_000_000)
    agrees(log)


def change(rng: random.Random) -> dict:
    """What a random generation changes."""
    groups = tuple(sorted(rng.sample(world.GROUPS, rng.randrange(1, 5))))
    return {
        "groups": groups,
        "horizon_ms": rng.choice((2_000, 30_000, 600_000)),
        "retired": rng.random() < 0.15,
        **(OTHER if rng.random() < 0.4 else {}),
    }


def eventful(rng: random.Random, epochs_count: int = 8) -> world.World:
    """Sets defined, named, forgotten and overtaken, with events of every time in between."""
    log = world.World()
    log.define(1, **{**change(rng), "retired": False})
    log.end(FIRST - 1, following=1)
    number, epoch, pending = 1, FIRST, None
    for _ in range(epochs_count):
        for _ in range(rng.randrange(3, 14)):
            log.now_ms += rng.randrange(0, 4_000)
            at = log.now_ms + rng.choice((0, 0, -rng.randrange(50_000), rng.randrange(60_000), rng.randrange(60_000)))
            group = rng.choice(world.GROUPS)
            name = f"{group.upper().replace('/', '_')}_{rng.randrange(2)}"
            what = rng.random()
            if what < 0.25:
                log.open(group, name, at)
            elif what < 0.32:
                log.close(group, name, at)
            elif what < 0.4:
                log.raw(rng.choice(log.records).partition, rng.choice(log.records).value)
            else:
                log.toss(group, rng.random() < 0.5, at, source=rng.choice(("table", "crowd")))
            if rng.random() < 0.06:
                number += 1
                log.define(number, **change(rng))
                pending = number
        epoch += rng.choice((0, 0, 1))
        log.end(epoch, following=pending if rng.random() < 0.8 else None)
        pending = None if log.in_force == number else pending
        epoch += 1
    return log


@pytest.mark.parametrize("seed", range(8 if not world.SOAK else 300))
def test_whatever_generations_come_and_go_every_restart_says_the_same(seed: int):
    log = eventful(random.Random(seed))
    first = agrees(log, world.BOTH, seed)
    assert [r.parked for r in first.core.reports() if r.parked] == []
