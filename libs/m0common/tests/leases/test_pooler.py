"""Behind a transaction pooler leases work, and what needs a session of its own is refused at the start."""

import asyncio

import pytest
from m0common.clock import SystemClock
from m0common.errors import SettingsError
from m0common.leases import rows
from m0common.leases.candidate import Candidate, holder_name
from m0common.leases.rows import fenced
from m0common.pooler import refuse_pooler
from m0common.secret import SecretDsn
from m0common.settings import Postgres
from m0common.store import postgres
from pooling_proxy import PoolingProxy

pytestmark = pytest.mark.postgres
WHY = "this service listens"


@pytest.fixture(params=[1, 3])
async def proxy(request, server, pool):
    """A pooler of so many server connections."""
    async with PoolingProxy("127.0.0.1", server.server.port, request.param) as made:
        yield made


@pytest.fixture
def pooled(server, proxy):
    """The address behind it."""
    return server.dsn.replace(f":{server.server.port}/", f":{proxy.port}/")


async def test_a_pooler_is_refused_with_the_reason_and_postgres_itself_is_not(server, pooled):
    await refuse_pooler(SecretDsn(server.dsn), WHY)
    with pytest.raises(SettingsError, match="leads to a transaction pooler, and this service listens: give this"):
        await refuse_pooler(SecretDsn(pooled), WHY)


async def test_an_address_that_does_not_answer_is_left_to_whoever_connects_next():
    await refuse_pooler(SecretDsn("postgresql://m0@127.0.0.1:1/m0"), WHY)


async def test_of_seven_candidates_behind_a_pooler_one_leads_and_its_successor_follows(pooled):
    leading, most = set(), []

    async def work(tenure):
        leading.add(tenure.lease.fence)
        most.append(len(leading))
        try:
            await asyncio.Event().wait()
        finally:
            leading.discard(tenure.lease.fence)

    async with rows.opened(Postgres(dsn=pooled), "jobs") as leases:
        tasks = {}
        for _ in range(7):
            candidate = Candidate(leases, "jobs", holder_name(), 2_000, SystemClock())
            tasks[candidate] = asyncio.create_task(candidate.lead(work))
        for fence in (1, 2):
            async with asyncio.timeout(60):
                while leading != {fence}:  # noqa: ASYNC110 - what candidates do is watched
                    await asyncio.sleep(0.01)
            (leader,) = (candidate for candidate in tasks if candidate.leads)
            await stop(tasks.pop(leader))
        await stop(*tasks.values())
    assert max(most) == 1


async def test_no_statement_about_a_lease_leaves_a_transaction_open(pooled, proxy):
    """A holder that was stopped in one would keep the row from its successor for as long."""
    async with rows.opened(Postgres(dsn=pooled), "jobs") as leases:
        lease = await leases.take("jobs", "a", 600_000)
        assert await leases.take("jobs", "b", 600_000) == lease
        assert await leases.renew(lease, 600_000)
        await leases.release(lease)
    assert proxy.states == {b"I"}


async def stop(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_transactions_of_a_leader_behind_a_pooler_are_fenced_however_often_a_statement_is_said(pooled):
    async with (
        rows.opened(Postgres(dsn=pooled), "jobs") as leases,
        postgres.opened(Postgres(dsn=pooled), name="jobs", session=False) as pool,
    ):
        lease = await leases.take("jobs", "a", 600_000)

        async def often():
            for number in range(20):
                async with fenced(pool, lease) as connection:
                    found = await (await connection.execute("SELECT %s::int AS n", (number,))).fetchone()
                    assert found == {"n": number}

        await asyncio.gather(often(), often(), often())
