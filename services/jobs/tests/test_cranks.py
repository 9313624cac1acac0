import pytest
from jobs_house import FIRST
from m0_jobs.cranks import Cranks
from m0chain.accounts import EpochStatus

DAY_MS = 86_400_000


@pytest.fixture
def cranks(house):
    return Cranks(house.pool, house.chain, house.oracle, DAY_MS)


async def test_a_quorum_that_nobody_finalized_is_finalized_after_a_grace(house, cranks):
    house.open_epoch(FIRST, committed=3, revealed=2)
    await house.index_epoch(FIRST, "revealing")
    house.after_commits(FIRST, 5000)
    assert await cranks.run() == 0
    house.after_commits(FIRST, 11_000)
    assert await cranks.run() == 1
    assert house.epoch(FIRST).status is EpochStatus.FINALIZED
    assert await cranks.run() == 0


async def test_an_epoch_without_a_quorum_expires_after_its_reveal_deadline(house, cranks):
    house.open_epoch(FIRST, committed=2, revealed=1)
    await house.index_epoch(FIRST, "revealing")
    assert await cranks.run() == 0
    house.after_reveals(FIRST, 1000)
    assert await cranks.run() == 1
    assert house.epoch(FIRST).status is EpochStatus.EXPIRED


async def test_the_older_of_two_epochs_goes_first(house, cranks):
    house.open_epoch(FIRST, committed=3, revealed=2)
    house.open_epoch(FIRST + 1, committed=3, revealed=2)
    for epoch_id in (FIRST + 1, FIRST):
        await house.index_epoch(epoch_id, "revealing")
    house.after_commits(FIRST + 1, 11_000)
    assert await cranks.run() == 2
    assert [house.epoch(FIRST + i).status for i in (0, 1)] == [EpochStatus.FINALIZED] * 2


async def test_a_newer_epoch_waits_while_an_older_one_may_still_find_its_quorum(house, cranks):
    house.open_epoch(FIRST, committed=1)
    house.open_epoch(FIRST + 1, committed=3, revealed=2)
    for epoch_id in (FIRST, FIRST + 1):
        await house.index_epoch(epoch_id, "revealing")
    house.after_commits(FIRST + 1, 11_000)
    assert await cranks.run() == 0
    house.after_reveals(FIRST, 1000)
    assert await cranks.run() == 2
    assert house.epoch(FIRST).status is EpochStatus.EXPIRED
    assert house.epoch(FIRST + 1).status is EpochStatus.FINALIZED


async def test_an_epoch_shut_out_by_a_newer_one_expires_in_spite_of_its_quorum(house, cranks):
    house.open_epoch(FIRST, committed=3, revealed=2)
    house.open_epoch(FIRST + 1, committed=3, revealed=2)
    house.do(house.oracle.finalize_epoch("sports", FIRST + 1))
    await house.index_epoch(FIRST, "revealing")
    house.after_reveals(FIRST, 1000)
    assert await cranks.run() == 1
    assert house.epoch(FIRST).status is EpochStatus.EXPIRED


async def test_old_epochs_are_closed_and_their_rent_returns_to_the_opener(house, cranks):
    house.open_epoch(FIRST, committed=3, revealed=2)
    house.do(house.oracle.finalize_epoch("sports", FIRST))
    await house.index_epoch(FIRST, "finalized")
    house.after_reveals(FIRST, DAY_MS)
    assert await cranks.run() == 0
    house.after_reveals(FIRST, DAY_MS + 1000)
    opener = house.keys[0].pubkey()
    before = house.svm.get_balance(opener)
    assert await cranks.run() == 1
    assert house.epoch(FIRST) is None
    assert house.svm.get_balance(opener) > before
    assert await cranks.run() == 0


async def test_an_epoch_that_the_index_alone_believes_in_is_passed_over(house, cranks):
    await house.index_epoch(FIRST, "open")
    house.after_reveals(FIRST, 1000)
    assert await cranks.run() == 0
