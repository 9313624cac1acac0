"""Lanes in worker processes say what the chain says, whoever dies when; the desk has its turn meanwhile."""

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys

import lanes_world as world
import psutil
import pytest
from m0_signer.workers.crew import RECORD_BYTES, WINDOW_BYTES, Crew, OtherBuild
from m0_signer.workers.link import WorkerLost, launch_process
from m0_signer.workers.wire import Begin, Ready
from m0common.stream.records import Record
from m0common.topics import RAW
from m0lanes.generations import lanes_of
from m0lanes.stages import Heart
from prometheus_client import REGISTRY
from signer_crew import TOY, MemoryLink, toy_process
from signer_lanes import CATALOGS, Feeder, go_on, two_catalogs
from signer_log import FIRST_EPOCH, HEART, PARTITIONS

BEGIN = Begin(HEART.deployment.genesis_hash, HEART.deployment.control_key, PARTITIONS, CATALOGS)

SOON = 5


@pytest.fixture(scope="module")
def records():
    return two_catalogs()[0].records


@pytest.fixture(scope="module")
def expected(records):
    found = world.headers(world.play(records))
    assert {catalog for catalog, _ in found} == set(CATALOGS)
    assert len({record.partition for record in records}) == PARTITIONS
    return found


class Processes:
    """Starts workers of the tests' own domain, and knows them."""

    def __init__(self):
        self.links = []

    async def launch(self):
        self.links.append(await toy_process())
        return self.links[-1]

    def signal(self, number, link=None):
        os.kill((link or self.links[-1]).pid, number)


class Mortal(MemoryLink):
    """A worker that dies at some of the things it says, at the latest at a certain one."""

    def __init__(self, rng, dies, at_last):
        super().__init__()
        self.rng, self.dies, self.at_last, self.heard = rng, dies, at_last, 0

    async def receive(self):
        said = await super().receive()
        self.heard += 1
        if self.rng.random() < self.dies or self.heard == self.at_last:
            raise WorkerLost("killed by the test")
        return said


@pytest.mark.parametrize("workers", [1, 2, 3])
async def test_workers_say_what_one_chain_says_in_any_order_of_partitions(database, records, expected, workers):
    processes = Processes()
    one = Feeder(database, records, random.Random(workers), processes.launch, workers)
    await one.start()
    try:
        await one.read()
    finally:
        await one.depth.stop()
    assert one.said == expected
    assert one.lost == 0
    assert one.depth.notes() is None
    assert len({link.pid for link in processes.links}) == workers


@pytest.mark.parametrize("workers", [1, 2, 3, 9])
@pytest.mark.parametrize("seed", range(3))
async def test_what_workers_handed_over_is_gone_on_from_wherever_the_signer_is_killed(
    database, records, expected, workers, seed
):
    rng = random.Random(seed)
    one = Feeder(database, records, rng, workers=workers)
    await one.start()
    for _ in range(12):
        await one.read(rng.randrange(80))
        if rng.random() < 0.5:
            await one.save()
        if rng.random() < 0.4:
            await one.start()
    await one.read()
    assert one.said == expected
    assert one.depth.notes() is None


@pytest.mark.parametrize("seed", range(4))
async def test_workers_that_die_at_any_moment_lose_nothing(database, records, expected, seed):
    rng = random.Random(seed)

    launched = itertools.count()

    async def launch():
        return Mortal(rng, 0.03, SOON if next(launched) < 12 else None)

    one = Feeder(database, records, rng, launch, workers=3)
    await one.start()
    while one.left or one.depth.works:
        await one.read(rng.randrange(1, 60))
        await one.save()
    assert one.lost > 3, "the first four crews of three die soon"
    assert one.said == expected


async def until_lost(one):
    while True:
        await one.depth.catch_up(one.next)
        await asyncio.sleep(0.01)


async def test_a_worker_killed_in_the_middle_of_its_work_is_noticed_and_its_lanes_begin_again_from_what_was_saved(
    database, records, expected
):
    processes = Processes()
    one = Feeder(database, records, random.Random(1), processes.launch, workers=2)
    await one.start()
    try:
        await one.read(len(records) // 2)
        await one.save()
        saved = dict(one.next)
        await one.read(40)
        processes.signal(signal.SIGKILL, processes.links[0])
        with pytest.raises(WorkerLost, match="exit code -9"):
            await until_lost(one)
        with pytest.raises(WorkerLost):
            await one.depth.save(one.next)
        await one.start()
        assert all(at <= saved[where] for where, at in one.next.items())
        assert sum(one.next.values()) > sum(saved.values()) / 2
        await one.read()
    finally:
        await one.depth.stop()
    assert one.said == expected
    assert len(processes.links) == 4


async def test_the_desk_has_its_turn_while_workers_compute(database, records, expected):
    processes = Processes()
    one = Feeder(database, records, random.Random(1), processes.launch, workers=1)
    await one.start()
    turns = 0

    async def desk():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    try:
        await one.read(200)
        processes.signal(signal.SIGSTOP)  # as a step that takes for ever
        beside = asyncio.create_task(desk())
        while one.left:
            await one.read(1)
        before = turns
        for _ in range(100):
            assert one.depth.works
            assert await one.depth.catch_up(one.next) == []
            await asyncio.sleep(0)
        assert turns >= before + 100
        beside.cancel()
        processes.signal(signal.SIGCONT)
        await one.read()
    finally:
        processes.signal(signal.SIGCONT)
        await one.depth.stop()
    assert one.said == expected


class Busy(MemoryLink):
    """A worker that takes in everything and answers when it is let."""

    def __init__(self):
        super().__init__()
        self.let = asyncio.Event()

    async def receive(self):
        await self.let.wait()
        return await super().receive()


async def test_a_worker_has_only_so_much_before_it_and_the_reader_waits_for_it(database):
    link = Busy()

    async def launch():
        return link

    letters = REGISTRY.get_sample_value("m0_signer_dead_letters_total", {"topic": RAW.name}) or 0
    one = Feeder(database, [], random.Random(1), launch, workers=1)
    await one.start()
    given = 0
    while True:
        feeding = asyncio.create_task(one.depth.feed(Record(RAW.name, 0, given, None, b"x" * 5000)))
        given += 1
        for _ in range(20):
            await asyncio.sleep(0)  # the loop turns, whether it waits or not
        if not feeding.done():
            break
    assert (given - 1) * (5000 + RECORD_BYTES) < WINDOW_BYTES <= given * (5000 + RECORD_BYTES)
    link.let.set()
    assert await feeding == []
    await one.read()
    assert not one.depth.works
    assert REGISTRY.get_sample_value("m0_signer_dead_letters_total", {"topic": RAW.name}) == letters + given


async def test_a_worker_that_is_silent_with_work_before_it_is_stuck_unless_nobody_listens():
    link = Busy()

    async def launch():
        return link

    crew = await Crew.start(launch, 1, BEGIN, HEART.build)
    crew.feed(Record(RAW.name, 0, 0, None, b""))
    assert crew.stuck(-1.0) is None, "nothing is sent yet"
    crew.flush()
    assert crew.stuck(60.0) is None
    assert "worker 0 has not answered" in crew.stuck(-1.0)
    link.let.set()
    for offset in range(1, 200):
        crew.feed(Record(RAW.name, 0, offset, None, b""))
        crew.flush()
        await asyncio.sleep(0)
    assert crew.stuck(-1.0) is None, "the inbox is full"
    while crew.works:
        await crew.receive()
    assert crew.stuck(-1.0) is None, "all is done"
    await crew.stop()


async def test_a_worker_of_other_code_is_not_worked_with():
    async def launch():
        return MemoryLink(world.BOTH)

    crew = await Crew.start(launch, 1, BEGIN, HEART.build)
    for _ in range(2):
        with pytest.raises(OtherBuild, match="start it again"):
            await crew.receive()
    await crew.stop()


async def test_a_worker_as_a_signer_starts_it_has_every_domain_that_is_installed():
    installed = Heart.installed(HEART.deployment)
    crew = await Crew.start(launch_process, 1, BEGIN, installed.build)
    try:
        assert await crew.receive() == (0, Ready(installed.build))
    finally:
        await crew.stop()


@pytest.mark.parametrize(
    "said", ["b'abc'", "b'\\x92\\xa2\\xff\\xfe\\x01'", "b'\\x93\\xa5Saved\\x01' + b'\\x91' * 200_000"]
)
async def test_a_worker_that_says_what_nobody_understands_is_a_lost_one(said):
    program = f"import sys; said = {said}; sys.stdout.buffer.write(len(said).to_bytes(4, 'little') + said)"

    async def launch():
        return await launch_process((sys.executable, "-c", program))

    crew = await Crew.start(launch, 1, BEGIN, HEART.build)
    try:
        with pytest.raises(WorkerLost, match="another language"):
            await crew.receive()
    finally:
        await crew.stop()


async def test_a_worker_that_cannot_be_started_is_a_lost_one():
    async def launch():
        return await launch_process(("/nothing/here",))

    with pytest.raises(WorkerLost, match="no worker can be started"):
        await Crew.start(launch, 2, BEGIN, HEART.build)


async def test_a_signal_to_stop_is_left_to_the_desk(database, records, expected):
    processes = Processes()
    one = Feeder(database, records, random.Random(1), processes.launch, workers=2)
    await one.start()
    try:
        await one.read(50)
        await one.save()  # they have begun
        for link in processes.links:
            processes.signal(signal.SIGTERM, link)
            processes.signal(signal.SIGINT, link)
        await one.read()
    finally:
        await one.depth.stop()
    assert one.said == expected
    assert one.lost == 0


async def test_workers_end_with_who_started_them(tmp_path):
    script = tmp_path / "desk.py"
    script.write_text(
        "import asyncio, sys\n"
        "from m0_signer.workers.link import launch_process\n"
        "async def main():\n"
        "    links = [await launch_process(sys.argv[1:]) for _ in range(2)]\n"
        "    print(*(link.pid for link in links), flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    desk = await asyncio.create_subprocess_exec(sys.executable, str(script), *TOY, stdout=subprocess.PIPE)
    workers = [psutil.Process(int(pid)) for pid in (await desk.stdout.readline()).split()]
    assert all(worker.is_running() for worker in workers)
    desk.kill()
    await desk.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, workers, 30)
    assert alive == []


async def test_lanes_that_are_parked_in_a_worker_are_named_and_others_go_on(database):
    coins, notes = two_catalogs(2)
    lanes = lanes_of(coins.payload(1))
    coins.define(2, partitions=lanes[1:])  # one lane does not get it
    coins.end(FIRST_EPOCH + 2, following=2)
    go_on((notes,), range(2, 4))
    one = Feeder(database, coins.records, random.Random(1), workers=2)
    await one.start()
    await one.read()
    assert f"coins/{lanes[0]}: " in one.depth.notes()
    assert "m0 catalog set coins" in one.depth.notes()
    assert {epoch for catalog, epoch in one.said if catalog == "notes"} == {FIRST_EPOCH + n for n in range(4)}
    await one.save()
    await one.start()
    await one.read()
    assert f"coins/{lanes[0]}: " in one.depth.notes()


async def test_of_a_rebased_catalog_nothing_is_said_any_more_while_others_go_on(database):
    coins, notes = two_catalogs(2)
    coins.rebase(lanes_of(coins.payload(1))[0], FIRST_EPOCH, [bytes([n]) * 32 for n in (1, 2, 3)], 0)
    go_on((coins, notes), range(2, 4))
    one = Feeder(database, coins.records, random.Random(1), workers=3)
    await one.start()
    await one.read()
    assert "abstains from coins" in one.depth.notes()
    assert {epoch for catalog, epoch in one.said if catalog == "notes"} == {FIRST_EPOCH + n for n in range(4)}
    assert {epoch for catalog, epoch in one.said if catalog == "coins"} <= {FIRST_EPOCH, FIRST_EPOCH + 1}
    await one.save()
    await one.start()
    await one.read()
    assert "abstains from coins" in one.depth.notes()
    assert {epoch for catalog, epoch in one.said if catalog == "coins"} <= {FIRST_EPOCH, FIRST_EPOCH + 1}
