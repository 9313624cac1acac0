"""A schema that is changed under requests costs none of them; one that is taken away is named."""

import asyncio
import itertools

import psycopg
import pytest
from m0index import migrations

pytestmark = pytest.mark.postgres

PATHS = (
    "/v1/markets",
    "/v1/markets/EPL_003",
    "/v1/epochs",
    "/v1/epochs?catalog=sports&status=finalized",
    "/v1/epochs/sports/103",
    "/v1/predictions/EPL_003/latest?status=finalized",
    "/v1/predictions/EPL_003/history",
    "/v1/predictions/EPL_003/proof",
    "/v1/info",
)
WIDER = (
    ("markets", "schema_version", "bigint", "integer"),
    ("epochs", "finalize_signature", "varchar(256)", "text"),
    ("leaves", "leaf_index", "bigint", "integer"),
    ("signer_sets", "threshold", "bigint", "integer"),
)
"""Columns of what the paths ask for, another type that holds the same, and their own."""


def change(dsn, statements):
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def widen(dsn):
    migrations.upgrade(dsn)
    change(dsn, [f"ALTER TABLE {table} ALTER {column} TYPE {wide}" for table, column, wide, _ in WIDER])
    change(dsn, ["ALTER TABLE markets ADD COLUMN more text NOT NULL DEFAULT ''"])


def narrow(dsn):
    change(dsn, ["ALTER TABLE markets DROP COLUMN more"])
    change(dsn, [f"ALTER TABLE {table} ALTER {column} TYPE {own}" for table, column, _, own in WIDER])
    migrations.take_back(dsn, "0001")


async def test_a_migration_that_is_applied_and_taken_back_under_requests_costs_none(client, dsn):
    over, codes, numbers = asyncio.Event(), [], itertools.count()

    async def ask(path):
        sign = "&" if "?" in path else "?"
        return (await client.get(f"{path}{sign}fresh={next(numbers)}")).status_code

    async def keep_asking(path):
        while not over.is_set():
            codes.append(await ask(path))

    for path in PATHS * 8:  # every connection knows its statements by plan
        assert await ask(path) == 200
    asking = [asyncio.create_task(keep_asking(path)) for path in PATHS]
    try:
        for _ in range(3):
            for move in (widen, narrow):
                await asyncio.to_thread(move, dsn)
                before = len(codes)
                while len(codes) < before + 50:  # noqa: ASYNC110 - so many requests between two changes
                    await asyncio.sleep(0.01)
    finally:
        over.set()
        await asyncio.gather(*asking)
        migrations.upgrade(dsn)
    assert set(codes) == {200}


async def test_without_a_schema_readiness_names_the_remedy_and_requests_are_told_to_wait(client, dsn):
    async def becomes(path, status):
        async with asyncio.timeout(60):
            while (answer := await client.get(path)).status_code != status:  # noqa: ASYNC110 - as a client would
                await asyncio.sleep(0.1)
        return answer.json()

    await becomes("/ready", 200)
    change(dsn, ["ALTER SCHEMA public RENAME TO kept", "CREATE SCHEMA public"])
    try:
        told = await becomes("/ready", 503)
        assert "the database has no schema: start the indexer" in told["problems"]["postgres"]
        assert (await becomes("/v1/markets/EPL_003?fresh=gone", 503))["code"] == "unavailable"
    finally:
        change(dsn, ["DROP SCHEMA public", "ALTER SCHEMA kept RENAME TO public"])
    await becomes("/ready", 200)
    await becomes("/v1/markets/EPL_003?fresh=back", 200)
