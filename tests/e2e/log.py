"""Reading a stack's topics whole, and the account of every raw event: through, repeated, or a dead letter."""

import asyncio
from collections import Counter

import msgspec
from m0common.errors import DeadLetterError
from m0common.messages import BundleMessage, DeadLetter, LaneMessage, MarketOutcome  # noqa: F401
from m0common.stream.kafka import KafkaBroker, KafkaOptions
from m0common.stream.reader import read_to_end
from m0common.stream.records import Produce, Record, Save
from m0common.topics import BUNDLES, DLQ, NORMALIZED, RAW
from m0lanes.stages import normalize_core


def broker(bootstrap: str) -> KafkaBroker:
    return KafkaBroker(KafkaOptions(bootstrap=bootstrap, client="e2e"))


async def _topic(bootstrap: str, topic: str) -> list[Record]:
    made = broker(bootstrap)
    try:
        return [record async for batch in read_to_end(made, topic) for record in batch]
    finally:
        await made.close()


def topic(bootstrap: str, name: str) -> list[Record]:
    return asyncio.run(_topic(bootstrap, name))


def produce(bootstrap: str, messages: list[Produce]) -> None:
    async def send() -> None:
        made = broker(bootstrap)
        producer = made.producer()
        await producer.start()
        try:
            await producer.send(messages)
        finally:
            await producer.stop()
            await made.close()

    asyncio.run(send())


def dead_letters(bootstrap: str, origin: str = RAW.name) -> dict[tuple[int, int], DeadLetter]:
    """By `(partition, offset)` of the origin; a repeat after a restart is the same letter."""
    letters = [msgspec.msgpack.decode(r.value, type=DeadLetter) for r in topic(bootstrap, DLQ.name)]
    return {(letter.partition, letter.offset): letter for letter in letters if letter.topic == origin}


def account(bootstrap: str) -> dict[str, int]:
    """Runs the first stage over the whole raw log and compares: every event must be where it belongs.

    Returns counts; `in` is always `through + silent + dead`, where `silent` are repeats and events without effect.
    """
    raw = topic(bootstrap, RAW.name)
    normalized = topic(bootstrap, NORMALIZED.name)
    letters = dead_letters(bootstrap)
    said: dict[tuple[str, int, int], bytes] = {}
    for record in normalized:
        message = msgspec.msgpack.decode(record.value, type=LaneMessage)
        place = (message.catalog, message.partition, message.seq)
        assert said.setdefault(place, record.value) == record.value, f"two messages under one number: {place}"
    core = normalize_core()
    counts: Counter[str] = Counter()
    behind = 0
    last_seen = {(c, p): max(s for cc, pp, s in said if (cc, pp) == (c, p)) for c, p, _ in said}
    for record in raw:
        counts["in"] += 1
        try:
            outputs = [o for o in core.feed(record) if not isinstance(o, Save)]
        except DeadLetterError:
            counts["dead"] += 1
            assert (record.partition, record.offset) in letters, (
                f"no dead letter for {record.partition}@{record.offset}"
            )
            continue
        counts["through" if outputs else "silent"] += 1
        for output in outputs:
            message = msgspec.msgpack.decode(output.value, type=LaneMessage)
            if message.seq > last_seen.get((message.catalog, message.partition), 0):
                behind += 1  # read after the raw topic was
                continue
            place = (message.catalog, message.partition, message.seq)
            assert said[place] == output.value, f"lost or changed: {place}"
    counts["not_yet"] = behind
    return dict(counts)


def bundles(bootstrap: str) -> list[BundleMessage]:
    return [msgspec.msgpack.decode(r.value, type=BundleMessage) for r in topic(bootstrap, BUNDLES.name)]
