"""The whole service behind a node that falls ill: not ready while it lasts, by itself ready again, never ended."""

import asyncio
import contextlib

import psycopg
import pytest
from m0_indexer.__main__ import compose_on
from m0common import settings
from m0common.clock import SystemClock
from m0common.errors import Unavailable
from m0common.messages import encode
from m0common.process import Process
from m0common.secret import SecretUrl
from m0common.topics import BUNDLES, HEADERS
from m0local.ill_node import ILLNESSES, IllNode, refuses
from m0local.testing import chain_node
from solders.pubkey import Pubkey

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def localnet(tmp_path_factory):
    with chain_node(tmp_path_factory.mktemp("chain")) as url:
        yield url


@contextlib.asynccontextmanager
async def running(dsn, broker, node):
    config = settings.Settings(
        postgres=settings.Postgres(dsn=dsn),
        solana=settings.Solana(rpc_url=SecretUrl(node.url), ws_url=SecretUrl("ws://127.0.0.1:1")),
        deployment=settings.Identity(
            oracle_program_id=str(Pubkey.new_unique()), registry_program_id=str(Pubkey.new_unique())
        ),
    )
    process = Process("indexer", config, SystemClock())
    task = asyncio.create_task(process.live(lambda process: compose_on(process, broker)))
    try:
        yield process.status
        assert not task.done()
    finally:
        process.stop()
        await task


def problems(status):
    return "; ".join(problem for check in status.ready.values() if (problem := check()) is not None)


async def until(condition, within_s=120):
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - it is asked, and tells nobody
            await asyncio.sleep(0.02)


async def test_every_illness_of_the_node_is_named_and_passes(dsn, pool, broker, localnet):
    async with IllNode(localnet) as node:
        node.illness = ILLNESSES["html"]()
        async with running(dsn, broker, node) as status:
            await until(lambda: "HTTP 502" in problems(status))
            for illness in ILLNESSES.values():
                node.illness = None
                await until(lambda: not problems(status))
                node.illness = illness()
                await until(lambda: problems(status))
            node.illness = None
            await until(lambda: not problems(status))


async def test_a_node_without_get_program_accounts_is_a_note(dsn, pool, broker, localnet):
    async with IllNode(localnet) as node:
        node.illness = refuses("getProgramAccounts")
        async with running(dsn, broker, node) as status:
            await until(lambda: "getProgramAccounts" in (status.notes["side tasks"]() or ""))
            await until(lambda: not problems(status))


def drop_schema(dsn):
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


async def test_an_index_whose_schema_was_dropped_is_made_anew_and_filled_again_from_the_log(
    dsn, pool, broker, localnet, bench
):
    said = bench.scene.bundle(7, {"A": [500_000_000, 300_000_000, 200_000_000]})
    for topic, value in (*((BUNDLES, piece) for piece in said.pieces), (HEADERS, encode(said.message))):
        await bench.produce(topic.name, b"sports", value)

    async def stored():
        try:
            return [row["epoch_id"] for row in await bench.rows("SELECT epoch_id FROM bundles")]
        except Unavailable:
            return None  # there is no such table just now

    async def until_stored():
        async with asyncio.timeout(120):
            while await stored() != [7]:  # noqa: ASYNC110 - the database is asked
                await asyncio.sleep(0.1)

    async with IllNode(localnet) as node, running(dsn, broker, node) as status:
        await until(lambda: not problems(status))
        await until_stored()
        await asyncio.to_thread(drop_schema, dsn)  # it waits for the service's transactions, which go on meanwhile
        await until(lambda: problems(status))
        await until_stored()
        await until(lambda: not problems(status))
