"""The pool and the migrations against a real Postgres."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from m0common.errors import DeadLetterError, SettingsError, Unavailable
from m0common.secret import SecretDsn
from m0common.settings import Postgres
from m0common.store import migrations, postgres
from m0local.testing import RunningPostgres, postgres_server

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with postgres_server(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture
def dsn(server: RunningPostgres):
    """An empty database."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS fresh WITH (FORCE)")
        connection.execute("CREATE DATABASE fresh")
    return server.server.dsn_of("fresh")


async def test_what_the_database_refuses_in_a_message_is_a_dead_letter(dsn):
    migrations.upgrade(dsn)
    insert = "INSERT INTO pieces (name, catalog, value, stored_ms) VALUES (%s, %s, %s, %s)"
    good = (bytes(32), "sports", b"", 1)
    async with postgres.opened(Postgres(dsn=dsn), name="test") as pool:
        for bad in (b"short", *good[1:]), (bytes(32), "s\0", b"", 1), (*good[:3], 1 << 63), (*good[:1], None, b"", 1):
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


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


def test_an_empty_database_is_at_no_step_and_upgrade_brings_it_to_the_newest(dsn):
    assert migrations.current(dsn) is None
    assert migrations.upgrade(dsn) == migrations.head()
    assert migrations.current(dsn) == migrations.head()
    assert {"markets", "epochs", "epoch_signers", "bundles", "leaves", "chain_events", "scores"} <= tables(dsn)


def test_the_newest_step_by_name_is_the_newest_by_what_the_steps_say():
    assert migrations.head() == ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head()


def test_a_second_upgrade_changes_nothing(dsn):
    migrations.upgrade(dsn)
    before = tables(dsn)
    assert migrations.upgrade(dsn) == migrations.head()
    assert tables(dsn) == before


def test_processes_that_upgrade_at_once_wait_for_each_other(dsn):
    with ThreadPoolExecutor(4) as workers:
        assert set(workers.map(migrations.upgrade, [dsn] * 4)) == {migrations.head()}


def test_a_database_that_is_not_there_is_named_unavailable(server):
    with pytest.raises(Unavailable, match="M0_PG_DSN"):
        migrations.upgrade("postgresql://m0@127.0.0.1:1/none")


def test_an_epoch_counts_as_final_only_when_its_transaction_is(dsn):
    migrations.upgrade(dsn)
    insert = """
        INSERT INTO epochs (catalog, epoch_id, status, signer_set_id, window_start_ms, window_end_ms,
                            commit_deadline_ms, reveal_deadline_ms, slot, commitment)
        VALUES ('sports', %s, 'finalized', 1, 0, 1, 2, 3, 4, %s) RETURNING settled, public_status
    """
    with psycopg.connect(dsn) as connection:
        assert connection.execute(insert, (1, "confirmed")).fetchone() == (False, "revealing")
        assert connection.execute(insert, (2, "finalized")).fetchone() == (True, "finalized")


async def test_a_transaction_commits_at_its_end_and_rolls_back_when_the_block_raises(dsn):
    migrations.upgrade(dsn)
    put = "INSERT INTO cursors (name, value, slot, updated_ms) VALUES (%s, '', 0, 0)"
    async with postgres.opened(Postgres(dsn=dsn), name="test") as pool:
        async with postgres.transaction(pool) as connection:
            await connection.execute(put, ("kept",))
        with pytest.raises(KeyError):  # noqa: PT012 - the block is what is tested
            async with postgres.transaction(pool) as connection:
                await connection.execute(put, ("lost",))
                raise KeyError
        async with postgres.transaction(pool) as connection:
            rows = await (await connection.execute("SELECT name FROM cursors")).fetchall()
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


@pytest.mark.parametrize("address", ["secret-of-the-index", "host=127.0.0.1 password='secret-of-the-index"])
def test_an_address_that_is_none_is_refused_and_not_shown(address):
    with pytest.raises(SettingsError, match="M0_PG_DSN is no address of Postgres") as refused:
        migrations.upgrade(address)
    assert "secret-of-the-index" not in str(refused.value)
