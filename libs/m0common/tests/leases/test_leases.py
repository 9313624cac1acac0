"""What every store of leases promises."""

import asyncio

import pytest
from m0common.leases.port import Lease

LONG_MS = 600_000


async def test_of_several_that_want_it_one_has_it_and_the_others_are_told_who(leases):
    found = await asyncio.gather(*(leases.take("jobs", f"p{number}", LONG_MS) for number in range(8)))
    assert len(set(found)) == 1
    assert (found[0].name, found[0].fence) == ("jobs", 1)
    assert await leases.take("ingest-epochs", "p9", LONG_MS) == Lease("ingest-epochs", "p9", 1)


async def test_one_that_ran_out_goes_to_whoever_asks_next_with_a_higher_number(leases, expire):
    first = await leases.take("jobs", "a", LONG_MS)
    assert await leases.take("jobs", "b", LONG_MS) == first
    expire()
    second = await leases.take("jobs", "b", LONG_MS)
    assert second == Lease("jobs", "b", 2)
    assert not await leases.renew(first, LONG_MS)
    await leases.release(first)
    assert await leases.take("jobs", "c", LONG_MS) == second


async def test_one_that_is_renewed_does_not_run_out(leases, expire):
    first = await leases.take("jobs", "a", LONG_MS)
    expire()
    assert await leases.renew(first, LONG_MS)  # nobody has taken it meanwhile
    assert await leases.take("jobs", "b", LONG_MS) == first


async def test_one_that_is_given_back_is_free_at_once_and_its_number_is_not_used_again(leases):
    fences = []
    for holder in ("a", "b", "a"):
        lease = await leases.take("jobs", holder, LONG_MS)
        assert lease.holder == holder
        fences.append(lease.fence)
        await leases.release(lease)
    assert fences == [1, 2, 3]


@pytest.mark.parametrize("ttl_ms", [1, 50])
async def test_one_that_nobody_renews_is_free_by_the_clock_alone(leases, clock, ttl_ms):
    first = await leases.take("jobs", "a", ttl_ms)
    async with asyncio.timeout(60):
        while (second := await leases.take("jobs", "b", LONG_MS)) == first:
            clock.advance(10)
            await asyncio.sleep(0.01)
    assert second == Lease("jobs", "b", 2)
