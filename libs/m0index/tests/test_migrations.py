"""The migrations against a real Postgres."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory
from m0common.errors import SettingsError, Unavailable
from m0index import migrations

pytestmark = pytest.mark.postgres


@pytest.fixture
def dsn(databases):
    """An empty database."""
    return databases.empty()


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


def test_an_empty_database_is_at_no_step_and_upgrade_brings_it_to_the_newest(dsn):
    assert migrations.current(dsn) is None
    migrations.upgrade(dsn)
    assert migrations.current(dsn) == migrations.head()
    assert {"markets", "epochs", "epoch_signers", "bundles", "leaves", "chain_events", "scores"} <= tables(dsn)


def test_the_newest_step_by_name_is_the_newest_by_what_the_steps_say():
    assert migrations.head() == ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head()


def test_a_second_upgrade_changes_nothing(dsn):
    migrations.upgrade(dsn)
    before = tables(dsn)
    migrations.upgrade(dsn)
    assert tables(dsn) == before


def test_processes_that_upgrade_at_once_wait_for_each_other(dsn):
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(migrations.upgrade, [dsn] * 4))
    assert migrations.current(dsn) == migrations.head()


def test_steps_can_be_taken_back_and_applied_again(dsn):
    migrations.upgrade(dsn)
    newest = tables(dsn)
    migrations.take_back(dsn, "0001")
    assert migrations.current(dsn) == "0001"
    assert "schema_terms" not in tables(dsn)
    migrations.upgrade(dsn)
    assert tables(dsn) == newest


def test_a_step_that_waits_for_a_table_lets_others_pass_and_is_tried_again(dsn):
    migrations.upgrade(dsn)
    migrations.take_back(dsn, "0001")

    def write(connection, signature):
        connection.execute(
            "INSERT INTO chain_transactions (program, signature, slot, commitment) VALUES ('p', %s, 1, 'finalized')",
            (signature,),
        )

    def waits(connection):
        asked = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'chain_transactions'::regclass"
        )
        return asked.fetchone() != (0,)

    with (
        psycopg.connect(dsn) as holder,
        psycopg.connect(dsn, autocommit=True, options="-c statement_timeout=60000") as other,
        ThreadPoolExecutor(1) as workers,
    ):
        write(holder, "holds the table")
        moving = workers.submit(migrations.upgrade, dsn)
        for turn in range(2):
            deadline = time.monotonic() + 60
            while not waits(other):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            write(other, f"behind the step, {turn}")
        assert not moving.done()
        holder.commit()
        moving.result(60)
    assert migrations.current(dsn) == migrations.head()


def test_a_database_of_somebody_else_or_of_a_newer_version_is_left_alone(dsn):
    migrations.upgrade(dsn)
    before = tables(dsn)
    for version in ("9999", "a1b2c3d4"):
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE alembic_version SET version_num = %s", (version,))
        migrations.upgrade(dsn)
        assert (migrations.current(dsn), tables(dsn)) == (version, before)


def test_a_database_that_cannot_hold_every_text_is_refused_with_the_remedy(dsn):
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(
        SettingsError, match="database bytes has the encoding SQL_ASCII: create it with ENCODING 'UTF8'"
    ):
        migrations.upgrade(psycopg.conninfo.make_conninfo(dsn, dbname="bytes"))


def test_a_database_that_is_not_there_is_named_unavailable():
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


@pytest.mark.parametrize("address", ["secret-of-the-index", "host=127.0.0.1 password='secret-of-the-index"])
def test_an_address_that_is_none_is_refused_and_not_shown(address):
    with pytest.raises(SettingsError, match="M0_PG_DSN is no address of Postgres") as refused:
        migrations.upgrade(address)
    assert "secret-of-the-index" not in str(refused.value)
