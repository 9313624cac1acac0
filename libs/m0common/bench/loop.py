"""The stage loop beside raw aiokafka with the same codec, in one run: messages per CPU second of this process.

    python libs/m0common/bench/loop.py [MESSAGES] [ROUNDS]

It starts an Apache Kafka of its own. Raw: `getmany`, decode, re-encode, one `send_batch` per partition, commit. The
loop does the same with a core that is the codec alone, and once more with a LaneCore (sequence check, lane state,
checkpoints), which is what a stage costs. Only the ratios mean something.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from m0common.messages import Body as Message
from m0common.messages import BookUpdate, LaneMessage, encode
from m0common.settings import Stage
from m0common.stream.core import LaneCore, StageCore
from m0common.stream.entities import Entities
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.stream.loop import StageLoop
from m0common.stream.records import Output, Produce, Record, Save
from m0common.topics import CHECKPOINTS, DLQ, Topic
from m0local.benchmark import run_on_kafka

PARTITIONS = 2
BATCH = 500
_numbers = itertools.count()


class Pass:
    """Emits what it reads."""

    def __init__(self, _: object) -> None:
        self.entities = Entities()

    def step(self, body: Message) -> Sequence[Message]:
        return (body,)

    def settle(self) -> None:
        """Nothing to keep."""

    def resume(self) -> None:
        """Nothing was kept."""


class CodecCore:
    """Decodes and encodes, and keeps nothing."""

    def __init__(self, name: str, stage: int, source: str, sink: str) -> None:
        self.name = name
        self.stage = stage
        self.input_topic = source
        self._sink = sink
        self._decode = msgspec.msgpack.Decoder(LaneMessage).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def feed(self, record: Record) -> list[Output]:
        """One message in, the same one out."""
        message = self._decode(record.value)
        value = self._encode(LaneMessage(message.catalog, message.partition, message.seq, 0, message.body))
        return [Produce(self._sink, record.partition, record.key, value, record.headers)]

    def resume(self, partition: int, checkpoints: object) -> None:
        """Always the beginning."""

    def release(self, partition: int) -> None:
        """Nothing was kept."""

    def planned_stop(self, _: int) -> list[Save]:
        """Nothing to save."""
        return []


def book(n: int) -> BookUpdate:
    """About 300 bytes."""
    side = tuple((500_000_000 - i * 10_000_000, 1_000_000 + n + i) for i in range(10))
    return BookUpdate(n.to_bytes(32, "big"), "btc-15m", "BTC_UP_1700000000", 1_700_000_000_000 + n, side, side)


def messages(topic: str, count: int) -> list[Produce]:
    """A lane per partition."""
    result = []
    for n in range(count):
        partition, seq = n % PARTITIONS, n // PARTITIONS + 1
        result.append(Produce(topic, partition, b"crypto", encode(LaneMessage("crypto", partition, seq, n, book(n)))))
    return result


async def until(condition: Callable[[], bool]) -> None:
    """Wait with little cost."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.005)


async def run_loop(broker: KafkaBroker, core: StageCore, count: int) -> float:
    """CPU seconds of the stage loop, without joining its group."""
    loop = StageLoop(core, broker, Stage(batch_records=BATCH), group=core.name)
    task = asyncio.create_task(loop.run())
    await until(lambda: bool(loop._positions))  # noqa: SLF001
    since = time.process_time()
    await until(lambda: sum(loop._positions.values()) >= count)  # noqa: SLF001
    spent = time.process_time() - since
    loop.stop()
    await task
    return spent


async def run_raw(options: KafkaOptions, source: str, sink: str, count: int) -> float:
    """CPU seconds of the same work without the loop."""
    group = f"bench-raw-{next(_numbers)}"
    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=options.bootstrap,
        acks="all",
        enable_idempotence=True,
        compression_type=options.compression,
        max_batch_size=512 * 1024,
    )
    await producer.start()
    await consumer.start()
    consumer.subscribe([source])
    await until(lambda: bool(consumer.assignment()))
    decode = msgspec.msgpack.Decoder(LaneMessage).decode
    encode_message = msgspec.msgpack.Encoder().encode
    since = time.process_time()
    done, next_commit = 0, time.monotonic() + 2
    while done < count:
        sends = []
        positions = {}
        for where, records in (await consumer.getmany(max_records=BATCH, timeout_ms=500)).items():
            batch = producer.create_batch()
            for record in records:
                message = decode(record.value)
                value = encode_message(LaneMessage(message.catalog, message.partition, message.seq, 0, message.body))
                batch.append(timestamp=None, key=record.key, value=value)
                done += 1
            batch.close()
            sends.append(await producer.send_batch(batch, sink, partition=where.partition))
            positions[where] = records[-1].offset + 1
        await asyncio.gather(*sends)
        if time.monotonic() > next_commit and positions:
            next_commit += 2
            await consumer.commit({TopicPartition(*where): offset for where, offset in positions.items()})
    spent = time.process_time() - since
    await consumer.stop()
    await producer.stop()
    return spent


async def bench(options: KafkaOptions, count: int, rounds: int) -> float:
    """The median ratio of the loop; every round runs all three."""
    broker = KafkaBroker(options)
    source, sink = (Topic(f"bench.{name}", "lane", "group", (), ()) for name in ("in", "out"))
    await broker.create_topics([source, sink, CHECKPOINTS, DLQ], PARTITIONS, PARTITIONS)
    producer = broker.producer()
    await producer.start()
    sent = messages(source.name, count)
    for start in range(0, count, 5000):
        await producer.send(sent[start : start + 5000])
    await producer.stop()
    size = sum(len(message.value) for message in sent) / count
    print(f"{count} messages of {size:.0f} bytes; us of CPU per message:")
    ratios: dict[str, list[float]] = {"loop": [], "loop with lanes": []}
    for number in range(rounds):
        raw = await run_raw(options, source.name, sink.name, count)
        line = f"round {number + 1}: raw {raw / count * 1e6:.1f}"
        cores: dict[str, StageCore] = {
            "loop": CodecCore(f"codec{number}", 10_000 + number, source.name, sink.name),
            "loop with lanes": LaneCore(f"lane{number}", 20_000 + number, source.name, sink.name, Pass, bytes(32)),
        }
        for name, core in cores.items():
            spent = await run_loop(broker, core, count)
            ratios[name].append(raw / spent)
            line += f", {name} {spent / count * 1e6:.1f} ({raw / spent:.2f})"
        print(line)
    for name, values in ratios.items():
        print(f"{name}: {median(values):.2f} of raw aiokafka")
    return median(ratios["loop"])


def main() -> None:
    """Run the rounds."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    run_on_kafka(lambda options: bench(options, count, rounds))


if __name__ == "__main__":
    main()
