"""A candidate works while it has the lease, and stops in time when it may have lost it."""

import asyncio
import contextlib

import pytest
from m0common.clock import ManualClock
from m0common.errors import Unavailable
from m0common.leases.candidate import Candidate, holder_name
from m0common.leases.memory import MemoryLeases

TTL_MS = 40
"""Renewed every 10 ms of real time; it ends by a clock that the test moves."""


class House:
    """Candidates for one lease, and who works."""

    def __init__(self):
        self.clock = ManualClock()
        self.leases = MemoryLeases(self.clock)
        self.working = set()
        self.begun = []
        self._tasks = {}

    def candidate(self, holder, **options):
        candidate = Candidate(self.leases, "jobs", holder, TTL_MS, self.clock, **options)
        self._tasks[holder] = asyncio.create_task(candidate.lead(lambda tenure: self._work(holder, tenure)))
        return candidate

    async def _work(self, holder, tenure):
        self.working.add(holder)
        self.begun.append((holder, tenure.lease.fence))
        try:
            await asyncio.Event().wait()
        finally:
            self.working.discard(holder)

    async def stop(self, *holders):
        for holder in holders or list(self._tasks):
            task = self._tasks.pop(holder)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def house():
    made = House()
    yield made
    await made.stop()


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what candidates do is watched
            await asyncio.sleep(0.005)


async def test_one_works_and_its_standby_says_so_and_follows_when_it_stops(house):
    first = house.candidate("a")
    await until(lambda: house.working == {"a"})
    second = house.candidate("b")
    assert second.problem() is not None
    await until(lambda: second.says() == "standby of a, number 1")
    assert (first.says(), first.problem(), second.problem()) == ("leads, number 1", None, None)
    await house.stop("a")
    await until(lambda: house.working == {"b"})
    assert house.begun == [("a", 1), ("b", 2)]
    assert second.says() == "leads, number 2"


async def test_who_cannot_renew_stops_before_the_lease_ends(house):
    candidate = house.candidate("a")
    await until(lambda: house.working == {"a"})
    house.leases.away = True
    await until(lambda: candidate.problem() == "the leases do not answer")
    house.clock.advance(TTL_MS * 3 // 4)
    await until(lambda: house.working == set())
    assert house.leases.ends_ms("jobs") > house.clock.monotonic_ms()
    house.leases.away = False
    house.clock.advance(TTL_MS)
    await until(lambda: house.working == {"a"})
    assert candidate.problem() is None
    assert house.begun == [("a", 1), ("a", 2)]


async def test_whose_effects_are_fenced_goes_on_while_the_store_is_silent(house):
    candidate = house.candidate("a", fenced_elsewhere=True)
    await until(lambda: house.working == {"a"})
    house.leases.away = True
    await until(lambda: candidate.note() == "the leases do not answer")
    house.clock.advance(100 * TTL_MS)
    await asyncio.sleep(0.1)
    assert (house.working, candidate.problem()) == ({"a"}, None)
    house.leases.away = False
    await until(lambda: candidate.note() is None)
    assert house.begun == [("a", 1)]


async def test_who_finds_the_lease_with_another_stops(house):
    house.candidate("a", fenced_elsewhere=True)
    await until(lambda: house.working == {"a"})
    house.clock.advance(TTL_MS)
    assert (await house.leases.take("jobs", "other", 10**6)).holder == "other"
    await until(lambda: house.working == set())
    assert house.begun == [("a", 1)]


async def test_a_tenure_is_confirmed_by_the_store_alone(house):
    asked = []

    async def work(tenure):
        asked.append(await tenure.confirmed())
        house.leases.away = True
        with pytest.raises(Unavailable):
            await tenure.confirmed()
        house.leases.away = False
        house.clock.advance(2 * TTL_MS)
        await house.leases.take("jobs", "other", 10**6)
        asked.append(await tenure.confirmed())

    task = asyncio.create_task(Candidate(house.leases, "jobs", "a", TTL_MS, house.clock).lead(work))
    await until(lambda: len(asked) == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert asked == [True, False]


async def test_what_the_work_raises_ends_the_candidate_and_gives_the_lease_back(house):
    async def work(_tenure):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await Candidate(house.leases, "jobs", "a", TTL_MS, house.clock).lead(work)
    assert (await house.leases.take("jobs", "b", TTL_MS)).holder == "b"


async def test_what_fails_while_the_work_ends_is_no_reason_to_end_the_candidate(house):
    begun = []

    async def work(tenure):
        begun.append(tenure.lease.fence)
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("broken on the way out")

    task = asyncio.create_task(Candidate(house.leases, "jobs", "a", TTL_MS, house.clock).lead(work))
    await until(lambda: begun == [1])
    house.clock.advance(TTL_MS)  # it could not renew
    await until(lambda: begun == [1, 2])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_work_that_returns_is_begun_again_under_a_higher_number(house):
    fences = []

    async def work(tenure):
        fences.append(tenure.lease.fence)

    task = asyncio.create_task(Candidate(house.leases, "jobs", "a", TTL_MS, house.clock).lead(work))
    await until(lambda: len(fences) >= 3)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert fences[:3] == [1, 2, 3]


def test_no_two_lives_have_one_name():
    assert len({holder_name() for _ in range(100)}) == 100
