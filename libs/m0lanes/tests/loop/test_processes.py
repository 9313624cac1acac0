"""Stages as real processes on a real Kafka, killed with -9 while they work."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import lanes_world as lanes
import psutil
import pytest
from loop_world import NAMES
from m0common.stream.broker import TopicPartition
from m0common.topics import RAW

pytestmark = pytest.mark.kafka
HERE = Path(__file__).parent


class Processes:
    """The stages of one log."""

    def __init__(self, stages, kafka) -> None:
        self._arguments = (kafka.bootstrap, stages.broker.prefix)
        self.running: dict[str, subprocess.Popen] = {}

    def start(self, *names: str) -> None:
        for name in names:
            self.running[name] = subprocess.Popen(
                [sys.executable, HERE / "loop_main.py", name, *self._arguments, name],
                env={**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parent), str(STREAM)))},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> dict[str, int]:
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        return {name: process.wait(20) for name, process in self.running.items()}


STREAM = HERE.parents[2] / "m0common" / "tests" / "stream"


@pytest.fixture
def processes(kafka_stages, kafka):
    found = Processes(kafka_stages, kafka)
    yield found
    for name in list(found.running):
        found.kill(name)


async def test_stages_killed_at_random_moments_lose_nothing_and_say_one_thing(kafka_stages, processes):
    stages, rng = kafka_stages, random.Random(7)
    processes.start(*NAMES)
    world = lanes.season(1, first=stages.first)
    written = 0
    for number in range(1, 7):
        lanes.go_on(world, [number], seed=number)
        await stages.write(world.records[written:])
        written = len(world.records)
        await asyncio.sleep(rng.uniform(0.3, 1.2))
        name = rng.choice(NAMES)
        processes.kill(name)
        await asyncio.sleep(rng.uniform(0.0, 0.3))
        processes.start(name)
    await stages.until_said(await stages.expected(), 60)
    assert await stages.letters() == []
    assert processes.stop() == dict.fromkeys(NAMES, 0)


async def test_a_killed_stage_is_back_at_work_within_seconds(kafka_stages, processes):
    stages = kafka_stages
    world = lanes.season(2, first=stages.first)
    await stages.write(world.records)
    processes.start(*NAMES)
    await stages.until_closed(stages.first + 1)
    processes.kill("feature")
    before = len(world.records)
    lanes.go_on(world, [2])
    await stages.write(world.records[before:])
    since = time.monotonic()
    processes.start("feature")
    await stages.until_closed(stages.first + 2)
    assert time.monotonic() - since < 10


async def test_an_idle_stage_costs_next_to_nothing(kafka_stages, processes):
    stages = kafka_stages
    await stages.write(lanes.season(1, first=stages.first).records)
    processes.start(*NAMES)
    await stages.until_closed(stages.first)
    await asyncio.sleep(2)
    shares = {}
    used = {name: psutil.Process(process.pid).cpu_times() for name, process in processes.running.items()}
    await asyncio.sleep(5)
    for name, process in processes.running.items():
        now = psutil.Process(process.pid).cpu_times()
        shares[name] = (now.user + now.system - used[name].user - used[name].system) / 5
    assert max(shares.values()) < 0.05, f"shares of a core while idle: {shares}"


async def test_a_clean_stop_commits_how_far_it_has_come(kafka_stages, processes):
    stages = kafka_stages
    await stages.write(lanes.season(2, first=stages.first).records)
    processes.start(*NAMES)
    await stages.until_closed(stages.first + 1)
    assert processes.stop() == dict.fromkeys(NAMES, 0)
    processes.running.clear()
    consumer = stages.broker.consumer(group="normalize", member="normalize")
    await consumer.start()
    held = asyncio.Event()

    async def assigned(partitions):
        held.set()
        return {}

    async def revoked(partitions):
        pass

    await consumer.subscribe([RAW.name], assigned, revoked)
    assert await consumer.getmany(10, 3000) == []
    assert held.is_set()
    places = [TopicPartition(RAW.name, partition) for partition in range(lanes.PARTITIONS)]
    ends = await consumer.end_offsets(places)
    assert {place: consumer.position(place) for place in places} == ends
    await consumer.stop()
