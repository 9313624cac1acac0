"""A stage as a real process on a real Kafka, killed with -9 while it works."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from stream_toy import Toy, eventually

pytestmark = pytest.mark.kafka


def start(toy, kafka, member="one"):
    script = Path(__file__).with_name("stream_toy_main.py")
    group = toy.world.name("group")
    return subprocess.Popen(
        [sys.executable, script, kafka.bootstrap, str(toy.stage), toy.source, toy.sink, group, f"{group}-{member}"],
        env={**os.environ, "PYTHONPATH": str(script.parent)},
        stderr=subprocess.DEVNULL,
    )


async def test_a_stage_process_killed_at_random_moments_loses_nothing(kafka_world, kafka):
    toy = await Toy(kafka_world).create()
    rng = random.Random(7)
    await toy.feed_epochs(range(20), per_epoch=40)
    for epoch in range(20, 24):
        process = start(toy, kafka)
        await asyncio.sleep(rng.uniform(0.8, 2.0))
        await toy.feed_epochs(range(epoch, epoch + 1), per_epoch=200)
        await asyncio.sleep(rng.uniform(0.0, 0.3))
        process.kill()
        process.wait()
    # something that only the last process can have done: it is at work, and heeds signals
    await toy.feed_epochs(range(24, 25))
    process = start(toy, kafka)
    try:
        await eventually(toy.complete, 60)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    await toy.check()


async def test_a_killed_process_is_back_at_work_within_seconds(kafka_world, kafka):
    toy = await Toy(kafka_world).create()
    await toy.feed_epochs(range(2))
    process = start(toy, kafka)
    await eventually(toy.complete, 30)
    process.kill()
    process.wait()
    await toy.feed_epochs(range(2, 3))
    since = time.monotonic()
    process = start(toy, kafka)
    try:
        await eventually(toy.complete, 30)
        assert time.monotonic() - since < 8
    finally:
        process.kill()
        process.wait()


async def test_an_idle_stage_costs_next_to_nothing(kafka_world, kafka):
    toy = await Toy(kafka_world).create()
    await toy.feed_epochs(range(1))
    process = start(toy, kafka)
    try:
        await eventually(toy.complete, 30)
        await asyncio.sleep(2)
        used = psutil.Process(process.pid).cpu_times()
        await asyncio.sleep(5)
        now = psutil.Process(process.pid).cpu_times()
        share = (now.user + now.system - used.user - used.system) / 5
        assert share < 0.03, f"{share:.1%} of a core while idle"
    finally:
        process.kill()
        process.wait()


async def test_the_committed_offset_says_how_far_a_stage_has_come(kafka_world, kafka):
    toy = await Toy(kafka_world).create(1)
    await toy.feed_epochs(range(2), partitions=(0,))
    process = start(toy, kafka)
    try:
        await eventually(toy.complete, 30)
        ends = await toy.ends()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    consumer = kafka_world.broker.consumer(group=kafka_world.name("group"), member=kafka_world.name("group") + "-one")
    await consumer.start()
    held = asyncio.Event()

    async def assigned(partitions):
        held.set()
        return {}

    async def revoked(partitions):
        pass

    await consumer.subscribe([toy.source], assigned, revoked)
    assert await consumer.getmany(10, 3000) == []
    assert held.is_set()
    await toy.feed_epochs(range(2, 3), partitions=(0,))
    records = []
    while not records:
        records = await consumer.getmany(10, 1000)
    assert records[0].offset == ends[0]
    await consumer.stop()
