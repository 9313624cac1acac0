import math

import pytest
from jobs_house import BASE_MS, COMMIT_MS, EPOCH_MS, FIRST, REVEAL_MS
from m0_jobs.scores import Scorer
from m0common.clock import ManualClock

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
