"""From a raw event to its provisional prediction through three live stages, beside three bare hops, in one run.

    python libs/m0lanes/bench/latency.py [EVENTS] [PER_SECOND]

It starts an Apache Kafka of its own. Bare: three relays of aiokafka that send on what they read, nothing else.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from statistics import quantiles

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]
from m0common.messages import (
    BookPayload,
    CatalogPayload,
    LaneMessage,
    MarketOpenPayload,
    Prediction,
    encode_raw,
    raw_event,
)
from m0common.settings import Stage
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.stream.loop import StageLoop
from m0common.topics import PREDICTIONS, RAW, TOPICS, Topic
from m0lanes.stages import feature_core, model_core, normalize_core
from m0local.benchmark import run_on_kafka

MARKET = "BTC_0"
HOPS = [Topic(f"bench.hop{n}", "none", "one", (), ()) for n in range(4)]
"""What the bare relays go through."""


def raw(number: int, kind: str, at_ms: int, payload: object) -> bytes:
    """A raw event of the one market."""
    market_id, group = (None, "") if kind == "catalog" else (MARKET, "btc")
    return encode_raw(raw_event("bench", str(number), group, market_id, kind, at_ms, at_ms, payload))


def book(number: int) -> bytes:
    """A book that moves the prediction; its event time is its number."""
    bid = 400_000_000 + number % 100 * 1_000_000
    return raw(number, "book", number, BookPayload(((bid, 900_000),), ((bid + 20_000_000, 700_000),), 1))


def predicted(value: bytes) -> int | None:
    """The number of the event behind a prediction."""
    body = msgspec.msgpack.decode(value, type=LaneMessage).body
    return body.event_ms if isinstance(body, Prediction) else None


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
    server: str, source: str, sink: str, number_of: Callable[[bytes], int | None], numbers: range, gap_s: float
) -> list[float]:
    """Milliseconds from writing each event to reading what came of it."""
    sent: dict[int, float] = {}
    took: dict[int, float] = {}

    async def read(reader: AIOKafkaConsumer) -> None:
        async for record in reader:
            number = number_of(record.value)
            if number in sent and number not in took:
                took[number] = (time.perf_counter() - sent[number]) * 1000
            if len(took) == len(numbers):
                return

    async with consumer(server, sink) as reader, producer(server) as writer:
        arrivals = asyncio.create_task(read(reader))
        for number in numbers:
            sent[number] = time.perf_counter()
            await writer.send(source, book(number), partition=0)
            await asyncio.sleep(gap_s)
        await asyncio.wait_for(arrivals, 30)
    return list(took.values())


def told(name: str, times: list[float]) -> float:
    """Print the percentiles; returns the median."""
    cuts = quantiles(times, n=100)
    print(f"{name}: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms ({len(times)} events)")
    return cuts[49]


async def bench(options: KafkaOptions, events: int, gap_s: float) -> float:
    """How many times the bare hops' median the stages take."""
    broker, server = KafkaBroker(options), options.bootstrap
    await broker.create_topics([*TOPICS, *HOPS], 1, 1)
    async with producer(server) as writer:
        catalog = CatalogPayload("crypto", 20_000, 1, "book_consensus", ("btc",), {"stale_ms": 15_000})
        await writer.send_and_wait(RAW.name, raw(0, "catalog", 0, catalog), partition=0)
        opening = MarketOpenPayload("crypto", ("UP", "DOWN"), 1, 0)
        await writer.send_and_wait(RAW.name, raw(1, "market_open", 0, opening), partition=0)
    loops = [StageLoop(core, broker, Stage()) for core in (normalize_core(), feature_core(), model_core(1))]
    stages = [asyncio.create_task(loop.run()) for loop in loops]
    relays = [asyncio.create_task(relay(server, source.name, sink.name)) for source, sink in itertools.pairwise(HOPS)]
    while any(loop.ready() for loop in loops):  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.05)
    warm, counted = range(10, 110), range(1000, 1000 + events)
    numbers = {book(number): number for run in (warm, counted) for number in run}
    for run in (warm, counted):
        bare = await measure(server, HOPS[0].name, HOPS[-1].name, numbers.get, run, gap_s)
        staged = await measure(server, RAW.name, PREDICTIONS.name, predicted, run, gap_s)
    for loop in loops:
        loop.stop()
    for task in relays:
        task.cancel()
    await asyncio.gather(*stages, *relays, return_exceptions=True)
    ratio = told("three stages", staged) / told("three bare hops", bare)
    await broker.close()
    print(f"three stages: {ratio:.2f} of three bare hops")
    return ratio


def main() -> None:
    """Measure both."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    per_second = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    run_on_kafka(lambda options: bench(options, events, 1 / per_second))


if __name__ == "__main__":
    main()
