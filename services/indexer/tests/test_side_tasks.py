"""What may fail alone does: the index goes on without it, and says so. What may not is waited for."""

import asyncio
import contextlib

import pytest
from m0_indexer.service import Indexer
from m0common.messages import RegistryMarket
from m0common.process import Process
from m0common.settings import Settings
from m0common.side import SideTasks
from m0common.topics import REGISTRY

pytestmark = pytest.mark.postgres


async def until(condition, within_s=60):
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - logs and notes, not events
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(bench):
    side = SideTasks(first_pause_s=0.01, longest_pause_s=0.02)
    process = Process("indexer", Settings(), bench.clock, side=side)

    async def compose(process):
        Indexer(bench.scene.programs, bench.chain, bench.pool, bench.broker).begin(process)

    task = asyncio.create_task(process.live(compose))
    try:
        await until(lambda: "m0_registry" in process.status.ready)
        yield process.status
        assert not task.done()
    finally:
        process.stop()
        await task


def published(bench):
    return [market.market_id for market in bench.sent(REGISTRY.name, RegistryMarket, 1)]


async def test_a_node_that_refuses_accounts_alone_stops_neither_following_nor_publishing(bench):
    bench.chain.refused = {"markets"}
    async with running(bench) as status:
        await until(lambda: "the node refuses markets" in (status.notes["side tasks"]() or ""))
        bench.scene.market("A")
        bench.chain.finalize()
        await until(lambda: published(bench) == ["A"])
        assert [name for name, check in status.ready.items() if check() is not None] == []


@pytest.mark.parametrize("method", ["listing", "transaction"])
async def test_a_node_that_refuses_the_history_is_named_waited_for_and_read_on(bench, method):
    bench.chain.refused = {method}
    bench.scene.market("A")
    bench.chain.finalize()
    async with running(bench) as status:
        await until(lambda: f"the node refuses {method}" in (status.ready["m0_registry"]() or ""))
        bench.chain.refused = set()
        await until(lambda: published(bench) == ["A"])
        await until(lambda: status.ready["m0_registry"]() is None)
