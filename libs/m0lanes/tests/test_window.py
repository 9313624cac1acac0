"""Hold-back: an event counts in the window it is dated in, whenever it is read and however often."""

import random
from dataclasses import replace

import lanes_world as world
import pytest
from lanes_book import told
from lanes_first import First
from lanes_fleet import Fleet
from m0common.ids import Lane
from m0common.stream.core import Rewind
from m0lanes.generations import partition_of
from m0lanes.pipeline import Pipeline

START = world.BASE_MS
FIRST, EPOCH = world.FIRST, world.EPOCH_MS
LANES = {
    p: {g for g in world.GROUPS if partition_of(g, world.PARTITIONS) == p}
    for p in {partition_of(g, world.PARTITIONS) for g in world.GROUPS}
}


def one_market():
    log = world.World()
    log.begin()
    log.open("penny", "COIN", START)
    log.toss("penny", True, START + 1_000)
    return log


def test_an_event_after_the_window_never_moves_its_leaf():
    plain, moved = one_market(), one_market()
    moved.now_ms = START + EPOCH + 900
    moved.toss("penny", False, START + EPOCH + 900)
    for log in (plain, moved):
        log.end(FIRST)
        log.end(FIRST + 1)
    before, after = world.leaves(world.play(plain.records)), world.leaves(world.play(moved.records))
    assert before[FIRST] == after[FIRST]
    assert before[FIRST + 1] != after[FIRST + 1]


def test_an_event_at_the_very_end_of_a_window_belongs_to_the_next():
    plain, inside, behind = one_market(), one_market(), one_market()
    inside.toss("penny", False, START + EPOCH - 1)
    behind.toss("penny", False, START + EPOCH)
    for log in (plain, inside, behind):
        log.end(FIRST)
    at_end, before, after = (world.leaves(world.play(log.records))[FIRST] for log in (plain, inside, behind))
    assert before != at_end == after


def test_what_was_dropped_in_its_window_is_not_held_again_by_a_restart():
    """Reading begins further back, at an event that still waits; the market the dropped one is about is open now."""
    log = one_market()
    log.toss("penny", True, START + 2 * EPOCH + 5)
    log.toss("penny", True, START + EPOCH + 5, "LATER")
    log.end(FIRST)
    log.open("penny", "LATER", START + EPOCH + 6)
    log.toss("penny", True, START + EPOCH + 7)
    log.end(FIRST + 1)
    log.end(FIRST + 2)
    assert First(world.HEART, log.records).check_every_restart() > 5


def away_for_five_epochs() -> world.World:
    """The clock writes no marker from 20 s to 120 s, while a toss comes every second."""
    log = one_market()
    log.end(FIRST)
    for second in range(20, 120):
        log.now_ms = START + second * 1_000
        log.toss("penny", second == 119, log.now_ms)
    log.end(FIRST + 5)
    return log


def test_after_skipped_epochs_a_closing_uses_all_of_its_own_data():
    """With the clock away from 20 s to 120 s, the leaf of the window that ends at 120 s knows the toss of 119 s."""
    log = away_for_five_epochs()
    closed = world.play(log.records)
    assert [epoch.header.epoch_id for epoch in closed] == [FIRST, FIRST + 5]
    assert closed[1].header.missed == tuple(range(FIRST + 1, FIRST + 5))
    assert world.leaves(closed) == {e: found for e, (_, found) in told(log.records, LANES, EPOCH, 600_000).items()}
    (p, _), _ = world.leaves(closed)[FIRST + 5]["COIN"]
    assert p == 3 * 1_000_000_000 // 103


@pytest.mark.parametrize("before_the_marker", [True, False])
def test_what_the_registry_says_waits_for_its_window_as_well(before_the_marker: bool):
    log = one_market()

    def say():
        log.close("penny", "COIN", START + EPOCH + 100)
        log.open("penny", "LATER", START + EPOCH + 200)

    if before_the_marker:
        say()
    log.end(FIRST)
    if not before_the_marker:
        say()
    log.end(FIRST + 1)
    found = world.leaves(world.play(log.records))
    assert list(found[FIRST]) == ["COIN"]
    assert list(found[FIRST + 1]) == ["LATER"]


def test_far_ahead_and_too_old_are_told_from_where_the_event_stands():
    log = one_market()
    log.now_ms = START + 5_000
    ahead = max(START + 2 * EPOCH, log.now_ms + 60_000)
    for at in (ahead - 1, ahead, log.now_ms - 600_000, log.now_ms - 600_001):
        log.toss("penny", True, at)
    pipeline = Pipeline(world.HEART)
    world.play(log.records, pipeline)
    drops = pipeline.cores[0].drops
    assert drops == {("table", "too_far_ahead"): 1, ("table", "too_old"): 1}
    assert pipeline.letters == []


def random_log(rng: random.Random, epochs: int = 5) -> world.World:
    """Everything that time can do to a log: late, early, far ahead, too old, repeated, skipped."""
    log = world.World()
    log.begin()
    names = [f"M{n}" for n in range(6)]
    homes = {name: rng.choice(world.GROUPS) for name in names}
    epoch = FIRST
    for _ in range(epochs):
        for _ in range(rng.randrange(4, 22)):
            log.now_ms += rng.randrange(0, 3_000)
            at = log.now_ms + rng.choice(
                (0, 0, -500, -rng.randrange(30_000), rng.randrange(45_000), 60_000, 90_000, -600_000, -700_000, EPOCH)
            )
            if rng.random() < 0.15:
                at -= at % EPOCH  # at the very border of two windows
            name = rng.choice(names)
            what = rng.random()
            if what < 0.2:
                log.open(homes[name], name, at)
            elif what < 0.3:
                log.close(homes[name], name, at)
            elif what < 0.4:
                log.toss(homes[name], rng.random() < 0.5, at, name, decides=rng.random() < 0.5)
            elif what < 0.5:
                log.toss(homes[name], rng.random() < 0.5, at, source="crowd")
            elif what < 0.6 and log.records:
                old = rng.choice(log.records)
                log.raw(old.partition, old.value)
            else:
                log.toss(rng.choice(world.GROUPS), rng.random() < 0.5, at)
        epoch += rng.choice((0, 0, 0, 1, 2))
        # a skipped marker may be missing in one lane alone
        only = None if rng.random() < 0.8 else sorted(LANES)[:1]
        log.end(epoch, partitions=only)
        if rng.random() < 0.2:
            log.end(epoch, partitions=only)
        if rng.random() < 0.2:
            log.end(epoch - 1)
        epoch += 1
    return log


@pytest.mark.parametrize("seed", range(40 if not world.SOAK else 2_000))
def test_a_chain_agrees_with_a_book_of_lists(seed: int):
    log = random_log(random.Random(seed))
    book = told(log.records, LANES, EPOCH, 600_000)
    pipeline = Pipeline(world.HEART)
    closed = world.play(log.records, pipeline)
    assert world.leaves(closed) == {epoch: found for epoch, (_, found) in book.items()}
    digests = {e.header.epoch_id: {lane.partition: lane.input_digest for lane in e.header.lanes} for e in closed}
    assert digests == {epoch: found for epoch, (found, _) in book.items()}
    assert [letter.error for _, letter in pipeline.letters] == []


@pytest.mark.parametrize("seed", range(6 if not world.SOAK else 100))
def test_restarted_behind_every_record_the_lanes_say_the_same(seed: int):
    log = random_log(random.Random(1_000 + seed), epochs=4)
    first = First(world.HEART, log.records)
    assert first.check_every_restart() > 20
    assert first.letters == {}


@pytest.mark.parametrize("seed", range(3 if not world.SOAK else 40))
def test_a_fleet_that_dies_at_any_moment_agrees_with_the_book(seed: int):
    log = random_log(random.Random(2_000 + seed), epochs=4)
    fleet = Fleet(world.HEART, seed, dies=0.08, copies=1 + seed % 2)
    fleet.write(log.records)
    fleet.run_until_idle()
    assert fleet.topics.headers() == world.headers(world.play(log.records))
    assert fleet.topics.letters == {}
    assert fleet.parked() == []


def holding(most: int, heart=world.HEART):
    """A heart whose lanes have so many bytes of held events at hand."""
    return replace(heart, held_bytes=most)


SHORT = range(6 if not world.SOAK else 200)


@pytest.mark.parametrize("most", [0, 300, 600])
@pytest.mark.parametrize("seed", SHORT)
def test_lanes_say_and_save_the_same_however_little_of_what_they_hold_is_at_hand(seed: int, most: int):
    log = random_log(random.Random(3_000 + seed), epochs=4)
    whole, short = First(world.HEART, log.records), First(holding(most), log.records)
    assert whole.rewinds == 0
    assert (short.said, short.letters, short.core.drops) == (whole.said, whole.letters, whole.core.drops)
    assert short.saved() == whole.saved()
    assert short.digests() == whole.digests()
    assert short.check_every_restart(3) > 5


def test_most_of_these_logs_make_lanes_read_again_what_they_held():
    logs = [random_log(random.Random(3_000 + seed), epochs=4) for seed in SHORT]
    assert sum(First(holding(600), log.records).rewinds > 0 for log in logs) > len(logs) * 2 / 3


@pytest.mark.parametrize("seed", range(4 if not world.SOAK else 100))
def test_a_fleet_with_hardly_anything_at_hand_that_dies_on_its_way_back_agrees_with_the_book(seed: int):
    log = random_log(random.Random(4_000 + seed), epochs=4)
    fleet = Fleet(holding(500 * seed), seed, dies=0.08, copies=1 + seed % 2)
    fleet.write(log.records)
    fleet.run_until_idle()
    assert fleet.topics.headers() == world.headers(world.play(log.records))
    assert fleet.topics.letters == {}
    assert fleet.parked() == []


def test_epochs_skipped_while_the_clock_was_away_are_read_again_before_their_marker_closes():
    log = away_for_five_epochs()
    log.end(FIRST + 6)
    whole, short = First(world.HEART, log.records), First(holding(1_000), log.records)
    assert short.said == whole.said
    assert short.saved() == whole.saved()
    assert short.rewinds == 1


def test_a_lane_keeps_no_more_bodies_at_hand_than_it_may():
    log = one_market()
    for number in range(50):
        log.toss("penny", True, START + EPOCH + number)
    core = holding(2_000).normalize()
    for record in log.records:
        list(core.feed(record))
        assert all(slot.state.holding.bytes <= 2_000 for slot in core._slots.all())
    assert max(slot.state.holding.bytes for slot in core._slots.all()) > 1_000


def test_a_chain_which_cannot_read_again_has_all_that_it_holds_at_hand():
    log = random_log(random.Random(7))
    closed = world.play(log.records, Pipeline(holding(0)))
    assert world.headers(closed) == world.headers(world.play(log.records))


def test_a_lane_on_its_way_back_says_no_checkpoint_and_none_when_it_misses_the_log_there():
    log = one_market()
    log.toss("penny", True, START + EPOCH + 1)
    log.end(FIRST)
    core = holding(0).normalize()
    partition = partition_of("penny", world.PARTITIONS)
    *before, marker = [record for record in log.records if record.partition == partition]
    for record in before:
        list(core.feed(record))
    *_, rewind = core.feed(marker)
    assert rewind == Rewind(Lane("coins", partition), before[-1].offset)
    assert core.cuts(partition, -1) == []
    assert core.park(partition, "the log is gone", rewind.lane) == []
    (report,) = [report for report in core.reports() if report.lane == rewind.lane]
    assert report.parked is not None


def test_a_marker_on_the_way_to_what_is_held_must_be_the_clocks_to_move_the_window():
    """What a stranger's marker would have moved, read again, stays where it was."""
    log = one_market()
    log.toss("penny", False, START + EPOCH + 10)
    for partition in LANES:
        log.raw(partition, log.marker(FIRST, key=world.STRANGER))
        log.raw(partition, log.marker(FIRST, window_end_ms=START + 2 * EPOCH))
    log.toss("penny", False, START + EPOCH + 20)
    log.toss("penny", False, START + 2 * EPOCH + 20)
    log.end(FIRST)
    log.end(FIRST + 1)
    first = First(world.HEART, log.records)
    first.check_every_restart()
    assert {error for error, _ in first.letters.values()} == {"wrong_signature", "wrong_window"}
