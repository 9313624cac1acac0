"""Several catalogs in one log, and markets and groups that more than one of them has."""

import lanes_world as world
from lanes_first import First
from lanes_fleet import Fleet
from lanes_steps import EPOCH, FIRST, START, epochs, errors, opened, ran, where
from m0common.ids import Lane
from m0lanes.pipeline import Pipeline


def two_catalogs(*, second: bool, first: bool = True) -> tuple[list, list]:
    coins = world.World(groups=("dime", "penny"))
    rest = world.World("notes", groups=("BTC/USD", "euro"), beside=coins)
    logs = [log for log, wanted in ((coins, first), (rest, second)) if wanted]
    for log in logs:
        log.begin()
    for index in range(4):
        for log in logs:
            log.now_ms = START + index * EPOCH
            for number, group in enumerate(log.groups):
                log.open(group, f"{log.catalog.upper()}_{number}_{index}", log.now_ms)
                log.toss(group, index % 2 == 0, log.now_ms + 7)
            if log is coins or index != 1:
                log.end(FIRST + index)
    pipeline = Pipeline(world.HEART)
    closed = world.play(coins.records, pipeline)
    assert pipeline.letters == []
    return closed, coins.records


def test_two_catalogs_in_the_same_partitions_do_not_disturb_each_other():
    both, records = two_catalogs(second=True)
    coins, _ = two_catalogs(second=False)
    notes, _ = two_catalogs(second=True, first=False)
    found = world.headers(both)
    for alone in (coins, notes):
        assert world.headers(alone).items() <= found.items()
    assert len(found) == 7
    only = Pipeline(world.HEART, only=frozenset({"notes"}))
    assert world.headers(world.play(records, only)) == world.headers(notes)
    first = First(world.HEART, records)
    first.check_every_restart()


def test_of_a_group_in_two_catalogs_both_take_the_events_and_one_says_the_letter():
    coins = world.World(groups=("penny",))
    notes = world.World("notes", groups=("dime", "penny"), beside=coins)
    for log in (coins, notes):
        log.begin()
    coins.open("penny", "COIN", START)
    coins.toss("penny", True, START + 1)
    coins.event("penny", "toss", {"heads": "yes"}, START + 2)
    coins.event("penny", "toss", {"heads": "yes"}, START + EPOCH + 2)  # held: each lane asks at its own marker
    coins.event("penny", "toss", {"heads": 5}, START + 3, source="nobody")
    for log in (coins, notes):
        log.end(FIRST)
        log.end(FIRST + 1)
    closed, pipeline = ran(coins)
    assert (
        len({(letter.record.partition, letter.record.offset) for _, letter in pipeline.letters})
        == len(pipeline.letters)
        == 3
    )
    assert sorted(epochs(closed)) == [FIRST, FIRST, FIRST + 1, FIRST + 1]
    first = First(world.HEART, coins.records)
    first.check_every_restart()
    for seed in range(4):
        fleet = Fleet(world.HEART, seed, dies=0.1, copies=2)
        fleet.write(coins.records)
        fleet.run_until_idle()
        assert len(fleet.topics.letters) == 3


def test_a_market_that_is_open_in_two_lanes_has_one_leaf():
    log = opened()
    log.open("dime", "TWICE", START + EPOCH)
    log.open("BTC/USD", "TWICE", START + EPOCH)
    assert where("dime") != where("BTC/USD")
    log.end(FIRST + 1)
    log.end(FIRST + 2)
    closed, pipeline = ran(log)
    assert epochs(closed) == [FIRST, FIRST + 1, FIRST + 2]
    for epoch in closed:
        assert len(set(epoch.market_ids)) == len(epoch.market_ids) == len(epoch.leaves)
    assert "TWICE" in closed[-1].market_ids
    assert errors(pipeline) == []


def test_a_catalog_that_nothing_puts_in_force_pins_nothing():
    """A misspelt name in a signed set makes a lane that waits; reading does not begin there again."""
    log = opened()
    misspelt = world.World("conis", beside=log)
    misspelt.define(1)
    strange = world.World("strange", beside=log)
    strange.define(1, key=world.STRANGER)
    for _ in range(5_000):
        log.toss("penny", True, START + EPOCH + 1)
    log.end(FIRST + 1)
    core = world.HEART.normalize()
    manifests = {}
    for record in log.records:
        for output in (*core.feed(record), *core.cuts(record.partition, 1_000)):
            if hasattr(output, "complete"):
                manifests[output.lane] = output.complete(0, 1)
    assert "strange" not in {lane.catalog for lane in manifests}
    at = where("penny")
    assert manifests[Lane("conis", at)].input_offset > manifests[Lane("coins", at)].input_offset - 5_000
    assert [r.parked for r in core.reports() if r.parked] == []
