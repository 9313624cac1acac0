"""Markers: only the clock of the generation in force, with the window and the lanes that are its own."""

import random

import lanes_world as world
import pytest
from lanes_steps import (
    EPOCH,
    FIRST,
    NEW_CLOCK,
    START,
    agrees,
    epochs,
    errors,
    opened,
    ran,
    where,
)
from m0lanes.control import SourceRule
from m0lanes.generations import lanes_of


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"key": world.STRANGER}, "wrong_signature"),
        ({"key": world.CONTROL}, "wrong_signature"),
        ({"key": world.REGISTRY}, "wrong_signature"),
        ({"window_end_ms": START + 10 * EPOCH}, "wrong_window"),
        ({"window_start_ms": START - 1}, "wrong_window"),
        ({"named": FIRST + 1_000}, "wrong_window"),
        ({"named": (1 << 62)}, "wrong_window"),
        ({"lanes": ()}, "wrong_lanes"),
        ({"lanes": (0, 1, 2, 3, 4)}, "wrong_lanes"),
        ({"generation": 0}, "old_generation"),
    ],
)
def test_a_marker_that_may_not_be_is_a_letter_and_closes_nothing(said: dict, error: str):
    log = opened()
    lanes = lanes_of(log.payload(1))
    said = dict(said)
    far = said.pop("named", None)
    window = {"window_start_ms": START + EPOCH, "window_end_ms": START + 2 * EPOCH} if far else {}
    value = log.marker(far or FIRST + 1, **window, **said)
    bad = {(record.partition, record.offset) for record in (log.raw(partition, value) for partition in lanes)}
    log.toss("penny", False, START + EPOCH + 1)
    log.end(FIRST + 1)
    closed, pipeline = ran(log)
    assert errors(pipeline) == [error] * len(lanes)
    assert epochs(closed) == [FIRST, FIRST + 1]
    plain = opened()
    plain.toss("penny", False, START + EPOCH + 1)
    plain.end(FIRST + 1)
    assert world.leaves(closed) == world.leaves(ran(plain)[0])
    assert agrees(log).letters.keys() == bad


def test_the_clock_of_the_generation_in_force_says_the_marker_that_ends_it():
    log = opened()
    clock = world.sources() | {"clock": SourceRule(("epoch_end",), bytes(NEW_CLOCK.pubkey()).hex())}
    log.define(2, sources=clock)
    lanes = lanes_of(log.payload(2))
    for partition in lanes:
        log.raw(partition, log.marker(FIRST + 1, following=2, key=NEW_CLOCK))
    log.end(FIRST + 1, following=2)
    for partition in lanes:
        log.raw(partition, log.marker(FIRST + 2))
        log.raw(partition, log.marker(FIRST + 2, key=NEW_CLOCK))
    closed, pipeline = ran(log)
    assert epochs(closed) == [FIRST, FIRST + 1, FIRST + 2]
    assert errors(pipeline) == ["wrong_signature"] * 2 * len(lanes)
    agrees(log)


def test_the_window_read_again_moves_with_markers_of_clocks_that_are_gone():
    log = opened()
    log.now_ms = START + EPOCH
    log.toss("penny", True, START + 5 * EPOCH - 1 - EPOCH)  # far enough ahead to be held over three clocks
    keys = [world.CLOCK, NEW_CLOCK, world.STRANGER]
    for step in (1, 2):
        rule = SourceRule(("epoch_end",), bytes(keys[step].pubkey()).hex())
        log.define(step + 1, sources=world.sources() | {"clock": rule})
        for partition in lanes_of(log.payload(1)):
            log.raw(partition, log.marker(FIRST + step, following=step + 1, key=keys[step - 1]))
        log.in_force = step + 1
        log.toss("penny", False, START + (step + 2) * EPOCH + 5)
    for epoch in (3, 4):
        for partition in lanes_of(log.payload(1)):
            log.raw(partition, log.marker(FIRST + epoch, key=keys[2]))
    closed, pipeline = ran(log)
    assert errors(pipeline) == []
    assert epochs(closed) == [FIRST + n for n in range(5)]
    agrees(log)


@pytest.mark.parametrize("seed", range(6))
def test_epochs_close_in_order_though_lanes_that_ended_lag_behind_those_that_began(seed: int):
    log = opened(("penny",))
    log.define(2, groups=("euro",))
    log.end(FIRST + 1, following=2)
    log.open("euro", "EURO", START + 2 * EPOCH)
    log.end(FIRST + 2)
    log.define(3, retired=True)
    log.end(FIRST + 3, following=3)
    log.define(4, groups=("BTC/USD",))
    log.end(FIRST + 6, following=4)
    log.end(FIRST + 7)
    assert len({where("penny"), where("euro"), where("BTC/USD")}) == 3
    rng = random.Random(seed)
    lanes = [[r for r in log.records if r.partition == p] for p in range(world.PARTITIONS)]
    mixed = []
    while any(lanes):
        mixed.append(rng.choice([lane for lane in lanes if lane]).pop(0))
    assert epochs(world.play(mixed)) == [FIRST, FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 7]
    agrees(log, seed=seed)
