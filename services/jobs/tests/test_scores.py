import math

import pytest
from jobs_house import BASE_MS, COMMIT_MS, EPOCH_MS, FIRST, REVEAL_MS
from m0_jobs import metrics
from m0_jobs.scores import Scorer
from m0common.clock import ManualClock
from m0common.store.postgres import transaction
from m0index.tables.scores import unscored

RESOLVED_MS = BASE_MS + 2 * EPOCH_MS + 500
P = (600_000_000, 300_000_000, 100_000_000)


@pytest.fixture
async def clock(house):
    await house.index_catalog()
    return ManualClock(RESOLVED_MS + 1000)


async def final(house, index, p=P, market_id="M1", status="finalized", commitment="finalized"):
    bundle_hash = await house.index_leaf(FIRST + index, market_id, p)
    await house.index_epoch(FIRST + index, status, bundle_hash, commitment)


async def resolved(house, outcome=0, **changes):
    await house.index_market("M1", 0, resolution=outcome, resolved_ms=RESOLVED_MS, **changes)


async def scores(house):
    rows = await house.rows("SELECT epoch_id, model, outcome, brier, log_loss FROM scores")
    return [(r["epoch_id"] - FIRST, r["model"], r["outcome"], r["brier"], r["log_loss"]) for r in rows]


async def test_the_last_final_prediction_is_scored_once_a_later_epoch_is_final(house, clock, lease):
    await resolved(house)
    await final(house, 0, (10**9, 0, 0))
    await final(house, 1)
    scorer = Scorer(house.pool, lease, clock)
    assert await scorer.run() == 0
    await house.index_epoch(FIRST + 3, "finalized")
    assert await scorer.run() == 1
    ((index, model, outcome, brier, log_loss),) = await scores(house)
    assert (index, model, outcome) == (1, "football", 0)
    assert brier == pytest.approx(0.4**2 + 0.3**2 + 0.1**2)
    assert log_loss == pytest.approx(-math.log(0.6))
    assert await scorer.run() == 0


async def test_a_catalog_that_stands_still_is_scored_after_the_last_deadline(house, clock, lease):
    await resolved(house)
    await final(house, 1)
    scorer = Scorer(house.pool, lease, clock)
    assert await scorer.run() == 0
    clock.advance(2 * EPOCH_MS + COMMIT_MS + REVEAL_MS)
    assert await scorer.run() == 1


async def test_void_and_unresolved_markets_and_those_not_final_themselves_are_not_scored(house, clock, lease):
    clock.advance(10**9)
    await final(house, 1)
    await house.index_market("M1", 0)
    assert await Scorer(house.pool, lease, clock).run() == 0
    await house.execute("UPDATE markets SET resolution = 255, resolved_ms = %s", RESOLVED_MS)
    assert await Scorer(house.pool, lease, clock).run() == 0
    await house.execute("UPDATE markets SET resolution = 1, commitment = 'confirmed'")
    assert await Scorer(house.pool, lease, clock).run() == 0
    await house.execute("UPDATE markets SET commitment = 'finalized'")
    assert await Scorer(house.pool, lease, clock).run() == 1


async def test_blocked_leaves_and_epochs_that_did_not_become_final_do_not_count(house, clock, lease):
    clock.advance(10**9)
    await resolved(house, 2)
    await final(house, 0)
    await final(house, 1, ())
    await final(house, 2, (10**9, 0, 0), status="expired")
    await final(house, 3, (0, 10**9, 0), commitment="confirmed")
    assert await Scorer(house.pool, lease, clock).run() == 1
    assert [(index, outcome) for index, _, outcome, _, _ in await scores(house)] == [(0, 2)]


async def test_an_outcome_beyond_the_leaf_is_not_scored_and_harms_nobody(house, clock, lease):
    clock.advance(10**9)
    await resolved(house, 7)
    await final(house, 1)
    await final(house, 2, market_id="M2")
    await house.index_market("M2", 0, resolution=1, resolved_ms=RESOLVED_MS)
    assert await Scorer(house.pool, lease, clock).run() == 1


async def many_resolved(house, count):
    for number in range(count):
        await house.index_market(f"N{number}", 0, resolution=0, resolved_ms=RESOLVED_MS + number)


async def test_markets_that_can_never_be_scored_hold_up_none_behind_them(house, clock, lease):
    clock.advance(10**9)
    await many_resolved(house, 7)  # nothing was ever predicted of them
    await final(house, 1)
    await house.index_market("M1", 0, resolution=0, resolved_ms=RESOLVED_MS + 100)
    scorer = Scorer(house.pool, lease, clock, batch=3)
    assert [await scorer.run() for _ in range(3)] == [0, 0, 1]
    await final(house, 2, market_id="N0")
    assert [await scorer.run() for _ in range(3)] == [1, 0, 0], "it begins at the head again"


async def test_a_run_looks_at_no_more_than_a_page_however_many_are_resolved(house, clock, lease):
    clock.advance(10**9)
    for number in range(5):
        await final(house, number, market_id=f"N{number}")
    await many_resolved(house, 5)
    scorer = Scorer(house.pool, lease, clock, batch=2)
    assert [await scorer.run() for _ in range(4)] == [2, 2, 1, 0]


async def test_what_is_scored_is_not_looked_at_again(house, clock, lease):
    clock.advance(10**9)
    await resolved(house)
    await final(house, 1)
    assert await Scorer(house.pool, lease, clock).run() == 1
    async with transaction(house.pool) as connection:
        assert await unscored(connection, clock.now_ms(), (-1, ""), 10) == []


async def test_a_market_that_was_scored_before_it_could_say_so_is_noted_and_keeps_its_score(house, clock, lease):
    clock.advance(10**9)
    await resolved(house)
    await final(house, 1)
    assert await Scorer(house.pool, lease, clock).run() == 1
    await house.execute("UPDATE markets SET scored = false")
    await final(house, 2, (0, 10**9, 0))
    assert await Scorer(house.pool, lease, clock).run() == 0
    assert [index for index, *_ in await scores(house)] == [1]
    assert [row["scored"] for row in await house.rows("SELECT scored FROM markets")] == [True]


async def test_a_leaf_that_cannot_be_read_is_counted_and_harms_nobody(house, clock, lease):
    clock.advance(10**9)
    await many_resolved(house, 2)
    await final(house, 1, market_id="N0")
    await final(house, 2, market_id="N1")
    await house.execute("UPDATE leaves SET leaf = substring(leaf FROM 1 FOR 60) WHERE market_id = 'N0'")
    before = unscorable()
    assert await Scorer(house.pool, lease, clock).run() == 1
    assert unscorable() == before + 1


def unscorable():
    return sum(value for _, value in metrics.UNSCORABLE.values())
