"""Leases in Postgres: what happens to transactions of a holder that was stopped, and to a store that is."""

import asyncio
import os
import signal

import psycopg
import pytest
from m0common.errors import Fenced, Unavailable
from m0common.leases.rows import PostgresLeases, fenced
from m0common.settings import Postgres
from m0common.store import postgres

pytestmark = pytest.mark.postgres
LONG_MS = 600_000


@pytest.fixture
def rows(few):
    return PostgresLeases(few, answer_s=60)


@pytest.fixture
def effects(server):
    """A table that work writes to."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS effects (who text)")
        connection.execute("TRUNCATE effects")
        yield lambda: [row[0] for row in connection.execute("SELECT who FROM effects").fetchall()]


async def write(connection, who):
    await connection.execute("INSERT INTO effects VALUES (%s)", (who,))


async def test_what_a_holder_writes_is_refused_once_another_has_the_lease(rows, pool, effects):
    first = await rows.take("jobs", "a", LONG_MS)
    async with fenced(pool, first) as connection:
        await write(connection, "a")
    await rows.release(first)
    async with fenced(pool, first) as connection:
        await write(connection, "a, that nobody has followed yet")
    second = await rows.take("jobs", "b", LONG_MS)
    with pytest.raises(Fenced, match="another process has lease jobs: this one, holder number 1, is over"):
        async with fenced(pool, first) as connection:
            await write(connection, "a, too late")
    async with fenced(pool, second) as connection:
        await write(connection, "b")
    assert effects() == ["a", "a, that nobody has followed yet", "b"]


async def test_a_takeover_waits_for_the_transaction_that_its_predecessor_is_in(server, rows, pool, effects):
    first = await rows.take("jobs", "a", LONG_MS)
    async with fenced(pool, first) as connection:
        with psycopg.connect(server.dsn) as other:
            other.execute("SET lock_timeout = '100ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("UPDATE leases SET holder = 'b' WHERE name = 'jobs'")
        await write(connection, "a")
    assert effects() == ["a"]


async def test_a_holder_that_is_stopped_in_a_transaction_holds_nobody_up_and_writes_nothing(rows, pool, effects):
    first = await rows.take("jobs", "a", 1)
    began, resumed = asyncio.Event(), asyncio.Event()

    async def stopped():
        async with fenced(pool, first, idle_ms=300) as connection:
            await write(connection, "a")
            began.set()
            await resumed.wait()
            await write(connection, "a, resumed")

    task = asyncio.create_task(stopped())
    await began.wait()
    async with asyncio.timeout(60):
        second = await rows.take("jobs", "b", LONG_MS)
    async with fenced(pool, second) as connection:
        await write(connection, "b")
    resumed.set()
    with pytest.raises(Unavailable):
        await task
    assert effects() == ["b"]


async def test_a_database_that_is_stopped_is_away_after_a_moment(server, few):
    rows = PostgresLeases(few, answer_s=0.5)
    async with asyncio.timeout(60):
        lease = await PostgresLeases(few, answer_s=60).take("jobs", "a", LONG_MS)
        pids = [server.pid, *children(server.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable, match="does not answer about leases"):
                await rows.renew(lease, LONG_MS)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


def children(pid):
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


async def test_a_database_that_nobody_has_made_tables_in_is_said(server):
    async with postgres.opened(Postgres(dsn=server.fresh()), name="test", reading=True) as pool:
        with pytest.raises(Unavailable, match=r"relation .leases. does not exist: start this version's indexer"):
            await PostgresLeases(pool, answer_s=60).take("jobs", "a", LONG_MS)
