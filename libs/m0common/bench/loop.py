"""The stage loop beside raw aiokafka with the same codec, in one run: messages per CPU second of this process.

    python -m m0local.benchmark libs/m0common/bench/loop.py [MESSAGES] [ROUNDS]

Raw: `getmany`, decode, re-encode, one `send_batch` per partition, commit. The
loop does the same with a core that is the codec alone. Only the ratio means something: what a stage does beside that
is measured in m0lanes.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from m0common.ids import Lane
from m0common.messages import LaneMessage, Manifest, StateBatch, encode
from m0common.settings import Stage
from m0common.stream.core import Cut, LaneReport, Load, Output
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.stream.loop import StageLoop
from m0common.stream.records import Produce, Record
from m0common.stream.restored import Restored
from m0common.topics import DLQ, MANIFESTS, STATE, Topic

PARTITIONS = 2
BATCH = 500
WARM = 5_000
"""So many messages are not counted."""
RELEASE = bytes(32)
_numbers = itertools.count()


class CodecCore:
    """Decodes and encodes, and keeps nothing."""

    stage = 2
    build = RELEASE
    queries: str | None = None

    def __init__(self, name: str, source: str, sink: str) -> None:
        self.name = name
        self.input_topic = source
        self.drops: Counter[tuple[str, str]] = Counter()
        self._sink = sink
        self._decode = msgspec.msgpack.Decoder(LaneMessage).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def feed(self, record: Record, only: Lane | None = None) -> Iterable[Output]:
        """One message in, the same one out."""
        del only
        value = self._encode(self._decode(record.value))
        return (Produce(self._sink, record.partition, record.key, value, record.headers),)

    def gather(self, manifest: Manifest, found: Iterable[StateBatch]) -> dict[bytes, bytes]:
        """Nothing was kept."""
        del manifest, found
        return {}

    def no_life(self, manifest: Manifest) -> str | None:
        """It lives once."""
        del manifest
        return None

    def unsound(self, manifest: Manifest, entities: Mapping[bytes, bytes]) -> str | None:
        """Nothing was kept."""
        del manifest, entities
        return None

    def resume(
        self, partition: int, restored: Sequence[Restored], begin: int, end: int, lost: Sequence[Manifest] = ()
    ) -> int | None:
        """Always the beginning."""
        del partition, restored, end, lost
        return begin

    def forget(self, partition: int) -> None:
        """Nothing was kept."""

    def park(self, partition: int, reason: str, only: Lane | None = None) -> list[Cut]:
        """There are no lanes."""
        del partition, reason, only
        return []

    def trimmed(self, partition: int, begin: int) -> None:
        """There are no lanes."""

    def passes_over(self, partition: int) -> list[Lane]:
        """There are no lanes."""
        del partition
        return []

    def called(self) -> list[Lane]:
        """There are no lanes."""
        return []

    def adopts(self, manifest: Manifest) -> bool:
        """There are no lanes."""
        del manifest
        return False

    def adopt(self, found: Restored) -> Iterable[Output]:
        """There are no lanes."""
        del found
        return ()

    def loaded(self, load: Load, found: Restored | None) -> Iterable[Output]:
        """There are no lanes."""
        del load, found
        return ()

    def join(self, lane: Lane) -> None:
        """There are no lanes."""

    def cuts(self, partition: int, behind: int) -> list[Cut]:
        """Nothing to save."""
        del partition, behind
        return []

    def reports(self) -> list[LaneReport]:
        """There are no lanes."""
        return []

    def answer(self, record: Record) -> Iterable[Produce]:
        """There are no questions."""
        del record
        return ()

    def epochs_of(self, _: Record) -> Sequence[tuple[str, int]]:
        return ()

    def asides(self) -> Iterable[Produce]:
        """Nothing is said beside the lanes."""
        return ()


def body(n: int) -> msgspec.Raw:
    """About 200 bytes."""
    side = [(500_000_000 - i * 10_000_000, 1_000_000 + n + i) for i in range(10)]
    return msgspec.Raw(msgspec.msgpack.encode(("BTC_UP_1700000000", 1_700_000_000_000 + n, side, side)))


def messages(topic: str, count: int) -> list[Produce]:
    """A lane per partition."""
    made = []
    for n in range(count):
        partition, seq = n % PARTITIONS, n // PARTITIONS + 1
        value = encode(LaneMessage("crypto", partition, 0, seq, RELEASE, n, "book_update", body(n)))
        made.append(Produce(topic, partition, b"crypto", value))
    return made


async def until(condition: Callable[[], bool]) -> None:
    """Wait with little cost."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.005)


async def run_loop(broker: KafkaBroker, core: CodecCore, count: int) -> float:
    """CPU seconds of the stage loop per message, once it has begun."""
    loop = StageLoop(core, broker, Stage(batch_records=BATCH), group=core.name)
    task = asyncio.create_task(loop.run())
    await until(lambda: sum(loop._next_offsets.values()) >= WARM)  # noqa: SLF001
    since, first = time.process_time(), sum(loop._next_offsets.values())  # noqa: SLF001
    await until(lambda: sum(loop._next_offsets.values()) >= count)  # noqa: SLF001
    spent = (time.process_time() - since) / (count - first)
    loop.stop()
    await task
    return spent


async def run_raw(options: KafkaOptions, source: str, sink: str, count: int) -> float:
    """CPU seconds of the same work per message without the loop, once it has begun."""
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
    since, first = 0.0, 0
    done, next_commit = 0, time.monotonic() + 2
    while done < count:
        if not first and done >= WARM:
            since, first = time.process_time(), done
        sends = []
        next_offsets = {}
        for where, records in (await consumer.getmany(max_records=BATCH, timeout_ms=500)).items():
            batch = producer.create_batch()
            for record in records:
                batch.append(timestamp=None, key=record.key, value=encode_message(decode(record.value)))
                done += 1
            batch.close()
            sends.append(await producer.send_batch(batch, sink, partition=where.partition))
            next_offsets[where] = records[-1].offset + 1
        await asyncio.gather(*sends)
        if time.monotonic() > next_commit and next_offsets:
            next_commit += 2
            await consumer.commit({TopicPartition(*where): offset for where, offset in next_offsets.items()})
    spent = (time.process_time() - since) / (count - first)
    await consumer.stop()
    await producer.stop()
    return spent


async def bench(broker: KafkaBroker, count: int, rounds: int) -> float:
    """The median ratio of the loop; every round runs both, in turn first."""
    source, sink = (Topic(f"bench.{name}", "lane", "group", (), ()) for name in ("in", "out"))
    await broker.create_topics([source, sink, STATE[CodecCore.stage], MANIFESTS, DLQ], PARTITIONS)
    producer = broker.producer()
    await producer.start()
    sent = messages(source.name, count)
    for start in range(0, count, 5000):
        await producer.send(sent[start : start + 5000])
    await producer.stop()
    size = sum(len(message.value) for message in sent) / count
    print(f"{count} messages of {size:.0f} bytes; us of CPU per message:")
    ratios: list[float] = []
    for number in range(rounds):
        core = CodecCore(f"codec{number}", source.name, sink.name)
        if number % 2:
            looped = await run_loop(broker, core, count)
            raw = await run_raw(broker.options, source.name, sink.name, count)
        else:
            raw = await run_raw(broker.options, source.name, sink.name, count)
            looped = await run_loop(broker, core, count)
        ratios.append(raw / looped)
        print(f"round {number + 1}: raw {raw * 1e6:.1f}, loop {looped * 1e6:.1f} ({raw / looped:.2f})")
    print(f"loop: {median(ratios):.2f} of raw aiokafka")
    return median(ratios)


async def on_kafka(broker: KafkaBroker, arguments: Sequence[str]) -> None:
    """Run the rounds."""
    count = int(arguments[0]) if arguments else 60_000
    rounds = int(arguments[1]) if len(arguments) > 1 else 5
    await bench(broker, count, rounds)
