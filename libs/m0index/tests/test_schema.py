"""Which version may use which schema, and what is said when it may not."""

import psycopg
import pytest
from m0common.secret import SecretDsn
from m0common.store.pulse import Pulse
from m0index import migrations
from m0index.schema import Found, Schema, lacking, note, problem


@pytest.mark.parametrize(
    ("found", "head", "says"),
    [
        (Found(None, None), "0007", "has no schema: start the indexer"),
        (Found("0006", "0003"), "0007", "is at 0006, this version needs 0007: start the indexer"),
        (Found("0001", None), "0007", "is at 0001, this version needs 0007"),
        (Found("0007", "0003"), "0007", None),
        (Found("0009", "0007"), "0007", None),
        (Found("0009", "0008"), "0007", "for versions that know 0008, this one knows 0007: run a newer version"),
        (Found("1f2e3d4c", None), "0007", "no step of ours: let M0_PG_DSN lead"),
        (Found("0007", None), "0007", "no step of ours"),
    ],
)
def test_a_version_may_use_a_schema_that_is_not_older_and_is_for_it(found, head, says):
    why = problem(found, head)
    assert why is None if says is None else says in why
    assert lacking(found, head) == (why is not None and "start the indexer" in why)


def test_a_schema_that_is_newer_and_can_be_used_is_said_to_be():
    assert "at 0009, newer than this version, which knows 0007" in note(Found("0009", "0005"), "0007")
    assert note(Found("0009", "0008"), "0007") is None
    assert note(Found("0007", "0005"), "0007") is None


@pytest.mark.postgres
async def test_a_pulse_follows_the_schema_through_everything_that_happens_to_it(databases):
    dsn = databases.empty()
    schema = Schema()
    pulse = Pulse(SecretDsn.of(dsn), "test", schema.ask)

    async def beat(statement=None):
        if statement is not None:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute(statement)
        await pulse.beat()
        return pulse.problem()

    try:
        assert "no schema" in await beat()
        migrations.upgrade(dsn)
        assert [await beat() for _ in range(10)] == [None] * 10  # by now its statements are prepared
        assert (schema.lacking(), schema.note()) == (False, None)
        assert await beat("UPDATE alembic_version SET version_num = '9999'") is None
        assert "newer" in schema.note()
        assert "run a newer version" in await beat("UPDATE schema_terms SET oldest = '9998'")
        assert schema.note() is None
        assert "no step of ours" in await beat("UPDATE alembic_version SET version_num = 'ae1027a6acf'")
        assert "no schema" in await beat("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        assert schema.lacking()
        migrations.upgrade(dsn)
        assert await beat() is None
    finally:
        await pulse.close()
