"""A domain that remembers as much as it may: who applies an event does not depend on when a process was where."""

from collections import Counter
from dataclasses import replace

import lanes_world as world
import pytest
from lanes_steps import EPOCH, FIRST, START, agrees, ran
from m0lanes.generations import partition_of

TOGETHER = [g for g in (f"g{n}" for n in range(100)) if partition_of(g, world.PARTITIONS) == 0][:6]
"""Groups of one lane. The toy domain remembers one thing of each that it has heard of."""


def crowded() -> world.World:
    """Six groups are heard of one after the other: some late, some held over a change of generations."""
    log = world.World(groups=TOGETHER)
    log.begin()
    for number, group in enumerate(TOGETHER):
        log.open(group, f"COIN_{number}", START)
    log.toss(TOGETHER[0], True, START + EPOCH + 5)  # held under generation 1
    log.define(2)
    log.end(FIRST, following=2)
    log.now_ms = START + EPOCH + 100
    log.toss(TOGETHER[1], True, log.now_ms, source="crowd")
    for number in (2, 3, 4):
        log.toss(TOGETHER[number], True, START + 2 * EPOCH + number)
    log.end(FIRST + 1)
    log.toss(TOGETHER[5], True, log.now_ms)
    log.toss(TOGETHER[0], False, log.now_ms)
    for epoch in (FIRST + 2, FIRST + 3):
        log.end(epoch)
    return log


@pytest.mark.parametrize("most", range(1, len(TOGETHER) + 2))
def test_at_the_edge_a_lane_never_checkpointed_and_one_at_every_message_say_the_same(most):
    log, heart = crowded(), replace(world.HEART, entities_max=most)
    _, pipeline = ran(log, heart)
    letters = {(letter.record.partition, letter.record.offset): letter.error for _, letter in pipeline.letters}
    left_out = max(0, len(TOGETHER) - most)
    # who is heard of already is heard on; of the others there is one letter for each toss
    assert Counter(error.error for error in letters.values()) == Counter(lane_full=left_out)
    first = agrees(log, heart)
    assert first.letters == {place: (error.error, error.reason) for place, error in letters.items()}
