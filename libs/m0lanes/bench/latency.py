"""From a raw event to its provisional prediction through three live stages, beside bare hops, in one run.

    python -m m0local.benchmark libs/m0lanes/bench/latency.py [EVENTS] [PER_SECOND]

The way of a provisional prediction has three hops (normalized, rows, prediction);
bare: as many relays of aiokafka that send on what they read, nothing else. What is conflated is not counted.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from statistics import quantiles

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]
from m0common.messages import ProvisionalPrediction
from m0common.settings import Stage
from m0common.stream.kafka import KafkaBroker
from m0common.stream.loop import StageLoop
from m0common.topics import PROVISIONAL, RAW, TOPICS, Topic
from raw_log import RawLog, heart

HOPS = [Topic(f"bench.hop{n}", "none", "one", (), ()) for n in range(4)]
"""What the bare relays go through."""
INTERVAL_MS = 10
"""So often asides are said here; a deployment says them less often, and then that is the latency."""


@asynccontextmanager
async def consumer(server: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Everything in a topic from the beginning."""
    reader = AIOKafkaConsumer(topic, bootstrap_servers=server, auto_offset_reset="earliest")
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


@asynccontextmanager
async def producer(server: str) -> AsyncIterator[AIOKafkaProducer]:
    """As the stages write."""
    writer = AIOKafkaProducer(bootstrap_servers=server, acks="all", enable_idempotence=True)
    await writer.start()
    try:
        yield writer
    finally:
        await writer.stop()


async def relay(server: str, source: str, sink: str) -> None:
    """Send on what is read, batch by batch."""
    async with consumer(server, source) as reader, producer(server) as writer:
        while True:
            for records in (await reader.getmany(timeout_ms=500)).values():
                for sent in [await writer.send(sink, record.value, partition=0) for record in records]:
                    await sent


async def measure(
    server: str, source: str, sink: str, values: list[tuple[int, bytes]], at_ms: Callable[[bytes], int], gap_s: float
) -> list[float]:
    """Milliseconds from writing each event, by its event time, to reading what came of it."""
    sent: dict[int, float] = {}
    took: dict[int, float] = {}

    async def read(reader: AIOKafkaConsumer) -> None:
        async for record in reader:
            number = at_ms(record.value)
            if number in sent and number not in took:
                took[number] = (time.perf_counter() - sent[number]) * 1000
            if number == values[-1][0]:
                return

    async with consumer(server, sink) as reader, producer(server) as writer:
        arrivals = asyncio.create_task(read(reader))
        for number, value in values:
            sent[number] = time.perf_counter()
            await writer.send(source, value, partition=0)
            await asyncio.sleep(gap_s)
        await asyncio.wait_for(arrivals, 30)
    return list(took.values())


def told(name: str, times: list[float], of: int) -> float:
    """Print the percentiles; returns the median."""
    cuts = quantiles(times, n=100)
    print(f"{name}: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms ({len(times)} of {of} events)")
    return cuts[49]


def predicted_ms(value: bytes) -> int:
    """The event time behind a prediction."""
    return msgspec.msgpack.decode(value, type=ProvisionalPrediction).event_ms


def event_ms(value: bytes) -> int:
    """That of a raw event."""
    found: int = msgspec.json.decode(value)["event_ms"]
    return found


async def bench(broker: KafkaBroker, events: int, gap_s: float) -> float:
    """How many times the bare hops' median the stages take."""
    server = broker.options.bootstrap
    await broker.create_topics([*TOPICS, *HOPS], 1)
    installed = heart()
    log = RawLog(installed, "crypto")
    async with producer(server) as writer:
        for record in [*log.begin(), *log.open(1)]:
            await writer.send_and_wait(RAW.name, record.value, partition=0)
    stage = Stage(provisional_interval_ms=INTERVAL_MS, poll_timeout_ms=INTERVAL_MS)
    loops = [StageLoop(core, broker, stage) for core in (installed.normalize(), installed.feature(), installed.model())]
    stages = [asyncio.create_task(loop.run()) for loop in loops]
    relays = [asyncio.create_task(relay(server, source.name, sink.name)) for source, sink in itertools.pairwise(HOPS)]
    while any(loop.ready() for loop in loops):  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.05)
    for count in (100, events):  # the first run is not counted
        values = []
        for _ in range(count):
            # event times ascend by one, so that each prediction tells its event
            log.start_ms += 1
            values.append((log.start_ms, log.event(0, log.start_ms).value))
        bare = await measure(server, HOPS[0].name, HOPS[-1].name, values, event_ms, gap_s)
        staged = await measure(server, RAW.name, PROVISIONAL.name, values, predicted_ms, gap_s)
    for loop in loops:
        loop.stop()
    for task in relays:
        task.cancel()
    await asyncio.gather(*stages, *relays, return_exceptions=True)
    ratio = told("three stages", staged, events) / told("three bare hops", bare, events)
    print(f"three stages: {ratio:.2f} of three bare hops, asides every {INTERVAL_MS} ms")
    return ratio


async def on_kafka(broker: KafkaBroker, arguments: Sequence[str]) -> None:
    """Measure both."""
    events = int(arguments[0]) if arguments else 1000
    per_second = int(arguments[1]) if len(arguments) > 1 else 50
    await bench(broker, events, 1 / per_second)
