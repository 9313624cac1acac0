"""The index stands where its database says: an empty one, or another log, is begun anew."""

import asyncio
import contextlib

import pytest
from m0_indexer.consume import bundle_loop
from m0common.messages import encode
from m0common.settings import Stage
from m0common.store.postgres import transaction
from m0common.stream.memory import MemoryBroker
from m0common.topics import BUNDLES, HEADERS, TOPICS
from prometheus_client import REGISTRY

pytestmark = pytest.mark.postgres
SPLIT = [500_000_000, 300_000_000, 200_000_000]


async def stored(bench):
    return [row["epoch_id"] for row in await bench.rows("SELECT epoch_id FROM bundles ORDER BY epoch_id")]


async def say(bench, *epochs):
    for epoch_id in epochs:
        said = bench.scene.bundle(epoch_id, {"A": SPLIT})
        await bench.produce(BUNDLES.name, b"sports", said.pieces[0])
        await bench.produce(HEADERS.name, b"sports", encode(said.message))


@contextlib.asynccontextmanager
async def reading(bench, broker=None):
    loop = bundle_loop(
        bench.bundles, bench.pool, broker or bench.broker, Stage(poll_timeout_ms=10, commit_interval_ms=0)
    )
    work = asyncio.create_task(loop.run())
    try:
        yield loop
    finally:
        loop.stop()
        await work


async def until(bench, wanted):
    async with asyncio.timeout(60):
        while await stored(bench) != wanted:  # noqa: ASYNC110 - the database is asked
            await asyncio.sleep(0.01)


async def until_read(bench, broker):
    """Until the reader stands at the end of the log."""
    async with asyncio.timeout(60):
        while True:
            rows = await bench.rows("SELECT topic, partition, next_offset FROM positions")
            ends = [(t.name, p, len(broker.log(t.name, p))) for t in (BUNDLES, HEADERS) for p in range(2)]
            if sorted(tuple(row.values()) for row in rows) == sorted(end for end in ends if end[2]):
                return
            await asyncio.sleep(0.01)


def repeated():
    return REGISTRY.get_sample_value("m0_indexer_pieces_total", {"kind": "repeated"}) or 0.0


async def empty(bench):
    """What `make` of a new database leaves: the schema and nothing in it."""
    async with transaction(bench.pool) as connection:
        await connection.execute("TRUNCATE bundles, leaves, pieces, waiting_headers, positions")


async def test_a_restart_begins_where_the_index_says_whatever_the_group_committed(bench):
    await say(bench, 7, 8)
    async with reading(bench):
        await until(bench, [7, 8])
        await until_read(bench, bench.broker)
    before = repeated()
    forgetful = bench.broker._groups["m0-indexer"].committed
    forgetful.update(dict.fromkeys(forgetful, 0))  # a group that has forgotten what was read
    await say(bench, 9)
    async with reading(bench):
        await until(bench, [7, 8, 9])
    assert repeated() == before


async def test_an_index_that_is_emptied_is_filled_again_from_the_log_while_its_reader_runs(bench):
    await say(bench, 7, 8)
    async with reading(bench) as loop:
        await until(bench, [7, 8])
        await until_read(bench, bench.broker)
        await empty(bench)
        await until(bench, [7, 8])  # although nothing more was said
        await empty(bench)
        await say(bench, 9)
        await until(bench, [7, 8, 9])
        assert loop.ready() is None


async def test_an_index_that_is_emptied_while_nobody_reads_is_filled_again(bench):
    await say(bench, 7, 8)
    async with reading(bench):
        await until(bench, [7, 8])
        await until_read(bench, bench.broker)
    await empty(bench)
    async with reading(bench):
        await until(bench, [7, 8])


async def test_another_log_is_read_from_its_beginning_into_the_same_index(bench):
    await say(bench, 7, 8, 9)
    async with reading(bench):
        await until(bench, [7, 8, 9])
        await until_read(bench, bench.broker)
    bench.broker = MemoryBroker()  # its offsets begin at 0, so that those known are of another log or far ahead
    await bench.broker.create_topics(TOPICS, 2)
    await say(bench, 10, 11, 12, 13)
    async with reading(bench):
        await until(bench, [7, 8, 9, 10, 11, 12, 13])


async def test_what_no_reader_takes_is_passed_once(bench):
    for value in (b"no piece", b"nor this"):
        await bench.produce(BUNDLES.name, b"sports", value)
    async with reading(bench):
        await until_read(bench, bench.broker)
    letters = sum(len(bench.broker.log("m0.dlq.v1", p)) for p in range(2))
    async with reading(bench):
        await say(bench, 7)
        await until(bench, [7])
    assert (letters, sum(len(bench.broker.log("m0.dlq.v1", p)) for p in range(2))) == (2, 2)
