"""On real Apache Kafka, through the SDK: restarts of the service and kill -9 of the broker lose and repeat nothing."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import httpx2
import pytest
from m0client import AsyncClient, Gap, Snapshot, Update
from m0common.errors import Unavailable
from m0common.stream.kafka_options import KafkaOptions
from m0local.testing import TestBroker
from realtime_world import World, free_port

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    from m0local.testing import kafka_server

    with kafka_server(tmp_path_factory.mktemp("kafka")) as server:
        yield server


class Process:
    """`python -m m0_realtime` as the supervisor starts it."""

    def __init__(self, bootstrap):
        self.port = free_port()
        self.env = os.environ | {
            "M0_KAFKA_BOOTSTRAP": bootstrap,
            "M0_BIND": f"127.0.0.1:{self.port}",
            "M0_CONFIG_PATH": str(ROOT / "config" / "dev.toml"),
        }
        self.process = None

    async def start(self):
        self.process = await asyncio.create_subprocess_exec(sys.executable, "-m", "m0_realtime", env=self.env)
        async with asyncio.timeout(30), httpx2.AsyncClient() as http:
            while True:
                with contextlib.suppress(httpx2.HTTPError):
                    if (await http.get(f"http://127.0.0.1:{self.port}/ready")).status_code == 200:
                        return
                assert self.process.returncode is None
                await asyncio.sleep(0.1)

    async def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 10)


async def test_a_stream_survives_restarts_of_the_service_and_of_the_broker(kafka):
    world = World()
    world.broker = TestBroker(KafkaOptions(kafka.bootstrap, "test", request_timeout_ms=5000, send_timeout_ms=5000))
    world.producer = world.broker.producer()
    await world.topics()
    for market in ("M0", "M1"):
        await world.market(market)
    await world.epoch(1)
    process = Process(kafka.bootstrap)
    await process.start()
    seen = {"epochs.sports": [], "market.M0": []}
    gaps = []

    async def follow():
        url = f"ws://127.0.0.1:{process.port}/ws"
        async for event in AsyncClient(stream_url=url).stream(list(seen)):
            if isinstance(event, Gap):
                gaps.append(event)
            items = event.data if isinstance(event, Snapshot) else [event.data] if isinstance(event, Update) else []
            for item in items:
                seen[event.channel].append((event.seq, item["epoch_id"]))

    async def reached(epoch_id):
        async with asyncio.timeout(40):
            while any(not numbers or numbers[-1][1] < epoch_id for numbers in seen.values()):
                assert not following.done(), following.exception()
                await asyncio.sleep(0.05)

    following = asyncio.create_task(follow())
    try:
        await reached(1)
        await world.epoch(2)
        await reached(2)
        assert await process.stop() == 0
        await world.epoch(3)
        await process.start()
        await reached(3)
        await process.stop(signal.SIGKILL)
        await world.epoch(4)
        await process.start()
        await reached(4)
        await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(kafka.start)
        for epoch_id in (5, 6):
            async with asyncio.timeout(60):
                while True:
                    try:
                        await world.epoch(epoch_id)
                        break
                    except Unavailable:  # the producer of this test meets the restart
                        await asyncio.sleep(0.5)
        await reached(6)
        assert gaps == []
        for numbers in seen.values():
            assert numbers == [(n, n) for n in range(1, 7)]
        assert await process.stop() == 0
    finally:
        following.cancel()
        if process.process.returncode is None:
            process.process.kill()
        await world.producer.stop()
        await world.broker.close()
