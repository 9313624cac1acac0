import asyncio
import contextlib
from functools import partial

import msgspec
import pytest
from jobs_house import BASE_MS, FIRST
from jobs_running import HOUR_MS, running, until
from m0_jobs import service
from m0_jobs.outcomes import OutcomeStore
from m0_jobs.scores import Scorer
from m0_jobs.service import observed
from m0chain import RpcRejected
from m0chain.accounts import EpochStatus
from m0common import settings
from m0common.clock import ManualClock
from m0common.errors import Fenced, SettingsError
from m0common.http import Status
from m0common.leases import rows
from m0common.leases.rows import PostgresLeases, fenced
from m0common.messages import MarketOutcome, encode
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce, Record
from m0common.topics import OUTCOMES, TOPICS
from m0index.positions import Positions
from trim_world import PARTITIONS, Lane, World


async def test_an_address_that_is_none_is_refused_and_not_shown():
    with pytest.raises(SettingsError, match="M0_PG_DSN is no address of Postgres") as refused:
        async with rows.opened(settings.Postgres(dsn="secret-of-the-index"), "jobs"):
            pass
    assert "secret-of-the-index" not in str(refused.value)


async def test_who_has_lost_the_lease_writes_neither_outcomes_nor_scores(pool, lease, house):
    clock, leases = ManualClock(BASE_MS), PostgresLeases(pool)
    await leases.release(lease)
    assert (await leases.take("jobs", "another", 600_000)).fence == lease.fence + 1
    positions = Positions("m0-jobs", MemoryBroker(), partial(fenced, pool, lease))
    with pytest.raises(Fenced):
        await OutcomeStore(positions, clock).take(Record(OUTCOMES.name, 0, 0, b"M1", encode(outcome_of("M1"))))
    with pytest.raises(Fenced):
        await Scorer(pool, lease, clock).run()
    assert await house.rows("SELECT count(*) AS count FROM outcomes") == [{"count": 0}]


async def test_the_running_service_resolves_and_cranks_on_its_schedule(dsn, house):
    broker = MemoryBroker()
    await broker.create_topics(TOPICS, 1)
    house.create_market("M1", BASE_MS)
    await house.index_market("M1", BASE_MS)
    house.open_epoch(FIRST, committed=3, revealed=2)
    await house.index_epoch(FIRST, "revealing")
    house.after_commits(FIRST, 11_000)
    status = Status("jobs")
    async with running(dsn, house, broker, status):
        await broker.producer().send([Produce(OUTCOMES.name, 0, b"M1", encode(outcome_of("M1")))])
        await until(lambda: house.market("M1").resolved)
        await until(lambda: house.epoch(FIRST).status is EpochStatus.FINALIZED)
        assert status.ready["database"]() is None
        assert status.facts["leader"]().startswith("leads, number ")
        await until(lambda: status.ready["outcomes"]() is None)
        broker.faults.down = True
        await until(lambda: "broker" in (status.ready["outcomes"]() or ""))
        broker.faults.down = False
        await until(lambda: status.ready["outcomes"]() is None)


async def test_a_standby_is_ready_says_who_leads_and_goes_on_when_the_leader_stops(dsn, house):
    broker = MemoryBroker()
    await broker.create_topics(TOPICS, 1)
    house.create_market("M1", BASE_MS)
    await house.index_market("M1", BASE_MS)
    first, second = Status("jobs"), Status("jobs")
    async with running(dsn, house, broker, first):
        await until(lambda: first.facts["leader"]().startswith("leads"))
        standby = contextlib.AsyncExitStack()
        await standby.enter_async_context(running(dsn, house, broker, second))
        await until(lambda: second.facts["leader"]().startswith("standby of "))
        assert second.ready["database"]() is None
    async with standby:
        await broker.producer().send([Produce(OUTCOMES.name, 0, b"M1", encode(outcome_of("M1")))])
        await until(lambda: house.market("M1").resolved)
        assert second.facts["leader"]().startswith("leads")


async def test_a_partition_whose_state_does_not_restore_makes_the_leader_degraded_and_ready(dsn, house):
    world = World([Lane(1, "works", 0), Lane(1, "stood", 0)])
    works, broken = world.lanes
    await world.broker.create_topics(TOPICS, PARTITIONS)
    for lane, window_end_ms in ((broken, world.now_ms), (works, world.now_ms + 10 * HOUR_MS)):
        lane.work(3)
        lane.window_end_ms = window_end_ms
    await world.save_manifest(broken, msgspec.structs.replace(await world.save_state(broken), digest=bytes(32)))
    await world.checkpoint(works)
    status = Status("jobs")
    async with running(dsn, house, world.broker, status):
        await until(lambda: "state" in status.notes and status.notes["state"]() is not None)
        await until(lambda: status.ready["outcomes"]() is None)
        said = status.respond(status.ready)
        assert said.status_code == 200
        body = msgspec.json.decode(said.body)
        assert body["status"] == "degraded"
        assert body["notes"]["state"].startswith(
            "nothing of partition 0 is cut, since the newest state of lane stood/0"
        )
    assert "state" not in status.notes, "who does not lead says nothing of it"


class SlowToLeave:
    """Takes outcomes in, and takes its time to end, as a loop does whose broker is away."""

    def __init__(self, ended):
        self._ended = ended

    def ready(self):
        return None

    async def run(self):
        try:
            await asyncio.sleep(600)
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(2)
            self._ended.append(True)
            await asyncio.sleep(600)


async def test_who_loses_the_lease_runs_no_job_any_more_however_long_the_rest_takes_to_end(
    dsn, house, pool, monkeypatch
):
    ended, runs = [], []

    async def observed_and_counted(name, *rest):
        runs.append(name)
        await observed(name, *rest)

    monkeypatch.setattr(service, "outcome_loop", lambda *_: SlowToLeave(ended))
    monkeypatch.setattr(service, "observed", observed_and_counted)
    broker, status = MemoryBroker(), Status("jobs")
    await broker.create_topics(TOPICS, 1)
    async with running(dsn, house, broker, status):
        await until(lambda: status.facts["leader"]().startswith("leads"))
        await until(lambda: len(runs) > 3)
        async with pool.connection() as connection:
            await connection.execute("UPDATE leases SET holder = 'another', fence = fence + 1")
        await until(lambda: status.facts["leader"]().startswith("standby of another"))
        before = len(runs)
        await asyncio.sleep(0.6)
        assert len(runs) == before, "six rounds of every job would be due"
        assert ended
        assert "outcomes" not in status.ready


def outcome_of(market_id):
    return MarketOutcome(market_id, "sports", 1, b"e" * 32, BASE_MS, "test")


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


async def test_a_job_that_is_cut_off_because_another_process_leads_is_no_fault():
    failed = {}
    running = asyncio.ensure_future(observed("crank", partial(asyncio.sleep, 60), failed))
    await asyncio.sleep(0)
    running.cancel()
    await running
    assert failed == {}
