import asyncio
import contextlib

import pytest
from jobs_house import BASE_MS, FIRST
from m0_jobs.app import Jobs, observed
from m0_jobs.leader import leadership
from m0chain import RpcRejected
from m0chain.accounts import EpochStatus
from m0common import settings
from m0common.clock import ManualClock
from m0common.deployment import Deployment
from m0common.errors import SettingsError, Unavailable
from m0common.http import Status
from m0common.messages import MarketOutcome, encode
from m0common.secret import SecretDsn
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.topics import OUTCOMES, TOPICS


async def until(condition, timeout_s=60.0):
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what jobs do is watched
            await asyncio.sleep(0.02)


async def test_one_process_leads_and_another_follows_when_it_is_gone(dsn):
    async with leadership(SecretDsn(dsn)) as first:
        assert first is not None
        async with leadership(SecretDsn(dsn)) as second:
            assert second is None
    async with leadership(SecretDsn(dsn)) as third:
        assert third is not None


async def test_leadership_ends_when_the_server_drops_the_connection(dsn, house):
    async with leadership(SecretDsn(dsn), check_s=0.05) as held:
        await house.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'm0-jobs-leader'"
        )
        async with asyncio.timeout(60):
            await held.lost.wait()


async def test_an_address_that_is_none_is_refused_and_not_shown():
    with pytest.raises(SettingsError, match="M0_PG_DSN is no address of Postgres") as refused:
        async with leadership(SecretDsn("secret-of-the-index")):
            pass
    assert "secret-of-the-index" not in str(refused.value)


async def test_without_a_database_nobody_leads():
    with pytest.raises(Unavailable):
        async with leadership(SecretDsn("postgresql://m0@127.0.0.1:1/m0")):
            pass


async def test_the_running_service_resolves_and_cranks_on_its_schedule(dsn, house):
    broker = MemoryBroker()
    await broker.create_topics(TOPICS, 1)
    house.create_market("M1", BASE_MS)
    await house.index_market("M1", BASE_MS)
    house.open_epoch(FIRST, committed=3, revealed=2)
    await house.index_epoch(FIRST, "revealing")
    house.after_commits(FIRST, 11_000)
    config = settings.Settings(postgres=settings.Postgres(dsn=dsn), jobs=settings.Jobs(crank_interval_ms=100))
    status = Status("jobs")
    jobs = Jobs(
        config, Deployment(bytes(32), bytes(32), 1), house.oracle.program, house.registry.program, house.pool, broker,
        house.chain, ManualClock(), status,
    )  # fmt: skip
    task = asyncio.create_task(jobs.run())
    try:
        outcome = MarketOutcome("M1", "sports", 1, b"e" * 32, BASE_MS, "test")
        await broker.producer().send([Produce(OUTCOMES.name, 0, b"M1", encode(outcome))])
        await until(lambda: house.market("M1").resolved)
        await until(lambda: house.epoch(FIRST).status is EpochStatus.FINALIZED)
        assert status.ready["database"]() is None
        await until(lambda: status.ready["outcomes"]() is None)
        broker.faults.down = True
        await until(lambda: "broker" in (status.ready["outcomes"]() or ""))
        broker.faults.down = False
        await until(lambda: status.ready["outcomes"]() is None)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("error", [RpcRejected("the node refuses getMultipleAccounts: no"), IndexError("list index")])
async def test_a_job_that_fails_is_noted_until_it_is_done_and_ends_nothing(error):
    failed = {}

    async def fails():
        raise error

    async def does():
        return 0

    await observed("crank", fails, failed)
    await observed("score", does, failed)
    assert list(failed) == ["crank"]
    assert str(error) in failed["crank"]
    await observed("crank", does, failed)
    assert failed == {}
