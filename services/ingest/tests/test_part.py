"""A part of ingest: who has its lease shuts the predecessor out, begins from the log, and again when it fails."""

import asyncio

import pytest
from control_world import DEPLOYMENT
from ingest_world import PARTITIONS
from m0_ingest.log import LogFollower
from m0_ingest.part import Part
from m0_ingest.writer import ConnectorWriter
from m0common.clock import ManualClock
from m0common.cursors import Cursors
from m0common.leases.candidate import Candidate
from m0common.leases.memory import MemoryLeases
from m0replay.control_log import ControlLog

TTL_MS = 40
KEY = "count"


class Process:
    """A process with one part, which counts in the log, up to what it is told."""

    def __init__(self, world, leases, clock, name):
        self.told = asyncio.Event()
        self.lives = 0
        self._cursors = Cursors()
        self._follower = LogFollower(world.broker, ControlLog(DEPLOYMENT), self._cursors, PARTITIONS)
        self.candidate = Candidate(leases, "ingest-count", name, TTL_MS, clock, fenced_elsewhere=True)
        writer = ConnectorWriter(world.broker, "count", PARTITIONS)
        self.part = Part("count", self.candidate, self._follower, writer, self._run)
        self._tasks = [asyncio.create_task(self._follower.run()), asyncio.create_task(self.part.run())]

    async def _run(self, writer):
        self.lives += 1
        count = self._cursors.get(KEY, int) or 0
        while True:
            await self.told.wait()
            self.told.clear()
            await writer.write(cursors={KEY: count + 1})
            count += 1

    async def stop(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class House:
    def __init__(self, world):
        self.world, self.clock = world, ManualClock()
        self.leases = MemoryLeases(self.clock)
        self.processes = []

    def begin(self, name):
        process = Process(self.world, self.leases, self.clock, name)
        self.processes.append(process)
        return process

    def count(self):
        return self.world.cursors().get(KEY, int) or 0


@pytest.fixture
async def house(world):
    made = House(world)
    yield made
    for process in made.processes:
        await process.stop()


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what parts do is watched
            await asyncio.sleep(0.005)


async def test_a_standby_goes_on_where_its_predecessor_was(house):
    first = house.begin("a")
    await until(lambda: first.lives == 1)
    second = house.begin("b")
    first.told.set()
    await until(lambda: house.count() == 1)
    await until(lambda: second.candidate.says() == "standby of a, number 1")
    assert (second.part.problem(), second.lives) == (None, 0)
    await first.stop()
    await until(lambda: second.lives == 1)
    second.told.set()
    await until(lambda: house.count() == 2)


@pytest.mark.parametrize("fault", ["lose_acks", "refuse_sends", "die_in_transactions"])
async def test_a_part_that_fails_begins_again_from_the_log(house, fault):
    process = house.begin("a")
    await until(lambda: process.lives == 1)
    setattr(house.world.broker.faults, fault, 1)
    process.told.set()
    await until(lambda: process.part.problem() is not None)
    await until(lambda: process.lives == 2 and process.part.problem() is None)
    before = house.count()
    assert before == (1 if fault == "lose_acks" else 0)
    process.told.set()
    await until(lambda: house.count() == before + 1)


async def test_who_is_shut_out_although_the_lease_is_its_own_begins_again(house):
    """A transaction that took too long is ended by Kafka in the same way as by a successor."""
    process = house.begin("a")
    await until(lambda: process.lives == 1)
    stranger = ConnectorWriter(house.world.broker, "count", PARTITIONS)
    await stranger.start()
    process.told.set()
    await until(lambda: process.lives == 2)
    process.told.set()
    await until(lambda: house.count() == 1)
    assert process.candidate.says() == "leads, number 1"


async def test_while_the_leases_are_silent_a_part_goes_on_and_begins_again_after_a_failure(house):
    process = house.begin("a")
    await until(lambda: process.lives == 1)
    house.leases.away = True
    house.clock.advance(100 * TTL_MS)
    house.world.broker.faults.refuse_sends = 1
    process.told.set()
    await until(lambda: process.lives == 2)
    process.told.set()
    await until(lambda: house.count() == 1)
    assert (process.part.problem(), process.candidate.note()) == (None, "the leases do not answer")


async def test_while_the_leases_are_silent_who_is_shut_out_gives_up(house):
    process = house.begin("a")
    await until(lambda: process.lives == 1)
    house.leases.away = True
    successor = ConnectorWriter(house.world.broker, "count", PARTITIONS)
    await successor.start()
    process.told.set()
    await until(lambda: not process.candidate.leads)
    assert process.part.problem() == "the leases do not answer"
    await successor.write(cursors={KEY: 7})
    assert (house.count(), process.lives) == (7, 1)


async def test_a_holder_that_went_on_without_its_lease_is_refused_and_then_stands_by(house):
    first = house.begin("a")
    await until(lambda: first.lives == 1)
    house.leases.away = True  # it is stopped: it hears nothing, and its lease runs out
    house.clock.advance(TTL_MS)
    house.leases.away = False
    lease = await house.leases.take("ingest-count", "b", 10**6)
    assert lease.holder == "b"
    successor = ConnectorWriter(house.world.broker, "count", PARTITIONS)
    await successor.start()
    first.told.set()
    await successor.write(cursors={KEY: 7})
    await until(lambda: first.candidate.says() == "standby of b, number 2")
    assert house.count() == 7
