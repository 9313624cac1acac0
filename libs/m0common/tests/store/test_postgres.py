"""The pool against a real Postgres."""

import asyncio

import psycopg
import pytest
from m0common.errors import DeadLetterError, Unavailable
from m0common.secret import SecretDsn
from m0common.settings import Postgres
from m0common.store import postgres
from m0local.testing import RunningPostgres, postgres_server

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with postgres_server(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture
def dsn(server: RunningPostgres):
    """An empty database."""
    return server.fresh()


async def test_what_the_database_refuses_in_a_message_is_a_dead_letter(dsn):
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept (name text PRIMARY KEY CHECK (name <> ''), at bigint NOT NULL)")
    insert = "INSERT INTO kept (name, at) VALUES (%s, %s)"
    good = ("sports", 1)
    async with postgres.opened(Postgres(dsn=dsn), name="test") as pool:
        for bad in ("", 1), ("s\0", 1), ("sports", 1 << 63), ("sports", None):
            with pytest.raises(DeadLetterError, match="not_storable"), postgres.storable():
                async with postgres.transaction(pool) as connection:
                    await connection.execute(insert, bad)
        async with postgres.transaction(pool) as connection:
            await connection.execute(insert, good)


async def until_unavailable(ask):
    """Backends of a server that was killed may answer for a moment more."""
    async with asyncio.timeout(60):
        while True:
            try:
                await ask()
            except Unavailable:
                return
            await asyncio.sleep(0.01)


async def test_a_transaction_commits_at_its_end_and_rolls_back_when_the_block_raises(dsn):
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE names (name text PRIMARY KEY)")
    put = "INSERT INTO names (name) VALUES (%s)"
    async with postgres.opened(Postgres(dsn=dsn), name="test") as pool:
        async with postgres.transaction(pool) as connection:
            await connection.execute(put, ("kept",))
        with pytest.raises(KeyError):  # noqa: PT012 - the block is what is tested
            async with postgres.transaction(pool) as connection:
                await connection.execute(put, ("lost",))
                raise KeyError
        async with postgres.transaction(pool) as connection:
            rows = await (await connection.execute("SELECT name FROM names")).fetchall()
    assert rows == [{"name": "kept"}]


async def test_a_database_killed_under_the_pool_is_unavailable_and_then_usable_again(server, dsn):
    async with postgres.opened(Postgres(dsn=dsn), name="test") as pool:
        await postgres.ping(pool)
        server.kill()
        pool.timeout = 1.0
        try:
            await until_unavailable(lambda: postgres.ping(pool))
        finally:
            server.start()
        pool.timeout = 20.0
        await postgres.ping(pool)


async def test_a_read_survives_a_restart_of_the_database_on_a_pool_that_was_full(server, dsn):
    async with postgres.opened(Postgres(dsn=dsn, pool_max=3), name="test", min_size=3, reading=True) as pool:
        await pool.wait()
        server.kill()
        server.start()
        assert await postgres.fetch_one(pool, "SELECT %s::int AS n", (7,)) == {"n": 7}
        assert await postgres.fetch(pool, "SELECT 1 WHERE false") == []


async def test_a_read_of_a_database_that_stays_away_is_unavailable(server, dsn):
    async with postgres.opened(Postgres(dsn=dsn), name="test", reading=True) as pool:
        await postgres.fetch(pool, "SELECT 1")
        pool.timeout = 0.5
        server.kill()
        try:
            await until_unavailable(lambda: postgres.fetch(pool, "SELECT 1"))
        finally:
            server.start()


async def test_a_pool_asks_for_its_address_at_each_connect_and_waits_for_a_file_that_is_gone(dsn, tmp_path):
    file = tmp_path / "dsn"
    async with postgres.opened(Postgres(dsn=SecretDsn(file=file)), name="test") as pool:
        pool.timeout = 0.2
        with pytest.raises(Unavailable):
            await postgres.ping(pool)
        file.write_text(dsn)
        pool.timeout = 60.0
        await postgres.ping(pool)


def altered(dsn, statement):
    with psycopg.connect(dsn) as connection:
        connection.execute(statement)


async def test_a_read_whose_plan_is_from_before_a_migration_is_answered(dsn):
    altered(dsn, "CREATE TABLE kept AS SELECT 7 AS n")
    async with postgres.opened(Postgres(dsn=dsn, pool_max=1), name="test", reading=True) as pool:
        for _ in range(10):  # by now it is prepared
            await postgres.fetch(pool, "SELECT n FROM kept")
        for kind in ("bigint", "integer"):
            altered(dsn, f"ALTER TABLE kept ALTER n TYPE {kind}")
            assert [await postgres.fetch_one(pool, "SELECT n FROM kept") for _ in range(10)] == [{"n": 7}] * 10


async def test_a_transaction_whose_plan_is_from_before_a_migration_is_to_be_repeated_once(dsn):
    altered(dsn, "CREATE TABLE kept AS SELECT 7 AS n")

    async def read():
        async with postgres.transaction(pool) as connection:
            return await (await connection.execute("SELECT n FROM kept")).fetchone()

    async with postgres.opened(Postgres(dsn=dsn, pool_max=1), name="test") as pool:
        for _ in range(10):
            await read()
        altered(dsn, "ALTER TABLE kept ALTER n TYPE bigint")
        with pytest.raises(Unavailable, match="schema is another one"):
            await read()
        assert await read() == {"n": 7}


async def test_a_table_that_is_gone_is_waited_for(dsn):
    async with (
        postgres.opened(Postgres(dsn=dsn), name="test") as pool,
        postgres.opened(Postgres(dsn=dsn), name="test", reading=True) as reading,
    ):
        with pytest.raises(Unavailable, match="schema"):
            await postgres.fetch(reading, "SELECT n FROM gone")
        with pytest.raises(Unavailable, match="schema"):
            async with postgres.transaction(pool) as connection:
                await connection.execute("SELECT n FROM gone")
