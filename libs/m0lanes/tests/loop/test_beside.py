"""What goes on beside the lanes: questions and answers, heartbeats during long work, health, a fast lane that waits."""

import asyncio
import socket
from contextlib import suppress

import httpx2
import lanes_world as lanes
import pytest
from loop_world import NAMES, QUICK
from m0common.clock import SystemClock
from m0common.errors import Unavailable
from m0common.messages import ProvisionalPrediction, ProvisionalRow, encode
from m0common.process import EXIT_OK, Process, lived
from m0common.settings import Settings
from m0common.stream.loop import StageLoop
from m0common.stream.records import Produce
from m0common.stream.service import begin_loop
from m0common.topics import PROVISIONAL, PROVISIONAL_ROWS
from m0lanes.generations import lanes_of, partition_of
from msgspec import msgpack


async def test_what_changes_between_markers_is_predicted_beside_the_lanes(stages):
    world = lanes.World(first=stages.first)
    world.begin()
    world.open("penny", "COIN", world.base_ms)
    await stages.write(world.records)
    stages.start()
    await stages.until(stages.ready)

    async def newest_said() -> ProvisionalPrediction | None:
        said = await stages.read(PROVISIONAL.name)
        return msgpack.decode(said[-1].value, type=ProvisionalPrediction) if said else None

    async def learned() -> bool:
        world.now_ms += 10
        await stages.write([world.toss("penny", True, world.now_ms)])
        newest = await newest_said()
        # the first answer may be of before the first toss
        return newest is not None and newest.outcomes[0].p != newest.outcomes[1].p

    await stages.until(learned)
    newest = await newest_said()
    assert newest is not None
    assert (newest.market_id, newest.epoch_id) == ("COIN", stages.first)
    assert sum(outcome.p for outcome in newest.outcomes) == 10**9
    assert newest.outcomes[0].p > newest.outcomes[1].p
    assert await stages.headers() == {}


async def test_questions_of_any_kind_disturb_no_lane(stages):
    stages.start()
    await stages.until(stages.ready)
    records = lanes.season(4, first=stages.first).records
    partition = partition_of("penny", lanes.PARTITIONS)
    rows = [
        ProvisionalRow("coins", partition, life, cause, market, lanes.BASE_MS + cause, (("tosses", 3),))
        for cause in range(10)
        for life in (0, 1)
        for market in ("COIN_0_0", "COIN_1_1", "NOBODY")
    ]
    questions = [Produce(PROVISIONAL_ROWS.name, partition, b"%d" % n, encode(row)) for n, row in enumerate(rows)]
    questions += [Produce(PROVISIONAL_ROWS.name, partition, b"x", b"nonsense")]
    producer = stages.broker.producer()
    await producer.start()
    for start in range(0, len(records), 20):
        await stages.write(records[start : start + 20])
        await producer.send(questions)
    await producer.stop()
    await stages.until_said(await stages.expected())
    assert await stages.letters() == []
    assert all(note is None for note in stages.notes().values())


async def test_the_lane_that_is_far_ahead_waits_for_the_others_and_is_read_again(stages):
    world = lanes.World(first=stages.first)
    world.begin()
    late = lanes_of(world.payload(1))[0]
    held_back = []
    for index in range(7):
        before = len(world.records)
        lanes.go_on(world, [index])
        held_back += [record for record in world.records[before:] if record.partition == late]
    early = [record for record in world.records if record not in held_back]
    stages.start(*NAMES, ahead_max=3)
    await stages.write(early)
    await stages.until(lambda: any(reading.waiting for reading in stages.loops["bundle"]._core._readings.values()))
    assert await stages.headers() == {}
    if stages.world.kind == "memory":
        await stages.kill("bundle")
        stages.start("bundle", ahead_max=3)
        await stages.until(stages.ready)
    await stages.write(held_back)
    await stages.until_said(await stages.expected())
    await stages.until(lambda: not stages.loops["bundle"]._readers)
    assert len(await stages.headers()) == 7


async def test_a_marker_with_thousands_of_open_markets_leaves_the_event_loop_its_turns(memory_stages):
    stages = memory_stages
    world = lanes.World(first=stages.first)
    world.begin()
    for number in range(5_000):
        world.open("penny", f"COIN_{number}", world.base_ms)
    world.end(world.first)
    world.end(world.first + 1)
    await stages.write(world.records)
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        loop = asyncio.get_running_loop()
        while True:
            since = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - since)

    ticking = asyncio.create_task(tick())
    began = asyncio.get_running_loop().time()
    stages.start()
    try:
        await stages.until(lambda: {r.epoch_id for r in stages.reports("bundle")} == {stages.first + 1}, 60)
    finally:
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
    lasted = asyncio.get_running_loop().time() - began
    print(f"longest turn of the event loop: {longest * 1000:.0f} of {lasted * 1000:.0f} ms")
    # a stage that gives it none takes the whole time
    assert longest < 0.75 * lasted
    assert sum(len(leaves) for leaves in (await stages.leaves()).values()) == 10_000


# --- health ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bind():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def get(bind: str, path: str):
    async with httpx2.AsyncClient() as client:
        return await client.get(f"http://{bind}{path}")


@pytest.mark.loopback
async def test_a_parked_lane_degrades_a_stage_and_all_of_them_make_it_unready(memory_stages, bind):
    stages = memory_stages
    world = lanes.season(1, first=stages.first)
    await stages.write(world.records)
    stages.start("normalize", "feature", "model")
    loops = stages.loops
    stages.start("bundle")
    await stages.until_closed(stages.first)
    await stages.stop("feature")
    loops["feature"] = StageLoop(stages.heart.feature(), stages.broker, QUICK, group="feature", member="feature")
    process = Process("feature", Settings(), SystemClock())

    async def compose(process: Process) -> None:
        begin_loop(process, "feature", loops["feature"])

    serving = asyncio.create_task(lived(process, compose, bind))
    stages.tasks["feature"] = serving
    await stages.until(lambda: loops["feature"].ready() is None)
    ready = await get(bind, "/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    partitions = lanes_of(world.payload(1))
    for count, partition in enumerate(partitions, 1):
        before = await stages.read("m0.normalized.v1")
        mine = [record for record in before if record.partition == partition]
        hole = msgpack.decode(mine[-1].value)
        hole[3] += 9
        await stages.broker.producer().send([Produce("m0.normalized.v1", partition, b"coins", msgpack.encode(hole))])
        await stages.until(lambda: sum(r.parked is not None for r in stages.reports("feature")) == count)  # noqa: B023
        ready = await get(bind, "/ready")
        if count < len(partitions):
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert f"coins/{partition}: lane coins/{partition} expects message" in ready.text
        else:
            assert ready.status_code == 503
            assert "every lane is parked" in ready.text
    assert (await get(bind, "/health")).status_code == 200
    process.stop()
    assert await asyncio.wait_for(serving, 60) == EXIT_OK
    del stages.tasks["feature"]


async def test_a_stage_takes_up_its_lanes_from_a_broker_that_answers_late(memory_stages):
    stages = memory_stages
    await stages.write(lanes.season(3, first=stages.first).records)
    stages.start()
    await stages.until_closed(stages.first + 2)
    await stages.stop(*NAMES)
    before = [(r.lane, r.seq) for r in stages.reports("feature")]
    late = LateBroker(stages.broker)
    stages.start("feature", broker=late, settings=QUICK.model_copy(update={"stuck_after_ms": 1000}))
    await stages.until(lambda: stages.loops["feature"].ready() is None)
    assert late.failures == 0
    assert stages.loops["feature"].healthy() is None
    assert [(r.lane, r.seq) for r in stages.reports("feature")] == before


class LateBroker:
    """Every reader waits, and the first ones are let down in the middle."""

    def __init__(self, inner) -> None:
        self._inner = inner
        self.failures = 4

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def consumer(self, **names):
        inner = self._inner.consumer(**names)
        return inner if names.get("group") else LateConsumer(self, inner)


class LateConsumer:
    def __init__(self, owner: LateBroker, inner) -> None:
        self._owner, self._inner = owner, inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def getmany(self, *args):
        await asyncio.sleep(0.05)
        if self._owner.failures:
            self._owner.failures -= 1
            raise Unavailable("read: Kafka did not answer within 10000 ms")
        return await self._inner.getmany(*args)
