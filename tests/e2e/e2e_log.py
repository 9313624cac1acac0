"""Reading a stack's topics whole, and the account of every raw event: said, held, dropped, or a dead letter."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from m0common.canonical import BundleHeader
from m0common.deployment import Deployment
from m0common.ids import Lane
from m0common.messages import DeadLetter, HeaderMessage, LaneMessage, RawEvent
from m0common.settings import load
from m0common.stream.core import Letter
from m0common.stream.kafka import KafkaOptions
from m0common.stream.records import Produce, Record
from m0common.topics import DLQ, HEADERS, NORMALIZED, RAW
from m0lanes.bodies import MarketOpened, decode_body
from m0lanes.stages import Heart
from m0local import testing
from m0local.launch import environment_file


async def _topic(kafka: KafkaOptions, topic: str) -> list[Record]:
    async with testing.broker_of(kafka) as broker:
        return await testing.read(broker, topic)


def topic(kafka: KafkaOptions, name: str) -> list[Record]:
    return asyncio.run(_topic(kafka, name))


def produce(kafka: KafkaOptions, messages: list[Produce]) -> None:
    async def send() -> None:
        async with testing.broker_of(kafka) as broker:
            await testing.write(broker, messages)

    asyncio.run(send())


def dead_letters(kafka: KafkaOptions, origin: str = RAW.name) -> dict[tuple[int, int], DeadLetter]:
    """By `(partition, offset)` of the origin; a repeat after a restart is the same letter."""
    found: dict[tuple[int, int], DeadLetter] = {}
    for record in topic(kafka, DLQ.name):
        letter = msgspec.msgpack.decode(record.value, type=DeadLetter)
        if letter.topic == origin:
            place = (letter.partition, letter.offset)
            assert found.setdefault(place, letter) == letter, f"two letters about {place}"
    return found


def heart(home: Path) -> Heart:
    """The heart as the stack's services have it."""
    return Heart.installed(Deployment.of(load(json.loads(environment_file(home).read_text()))))


def account(kafka: KafkaOptions, home: Path) -> dict[str, int]:
    """Runs the first stage over the whole raw log and compares: everything said must be what that log says.

    Every dead letter of the stack must be one of the log's, and every one of the log's must be there.
    """
    said: dict[tuple[str, int, int, int], bytes] = {}
    for record in topic(kafka, NORMALIZED.name):
        message = msgspec.msgpack.decode(record.value, type=LaneMessage)
        place = (message.catalog, message.partition, message.life, message.seq)
        assert said.setdefault(place, record.value) == record.value, f"two messages under one number: {place}"
    letters = dead_letters(kafka)
    core = heart(home).normalize()
    again: dict[tuple[str, int, int, int], bytes] = {}
    dead: set[tuple[int, int]] = set()
    raw = topic(kafka, RAW.name)
    for record in raw:
        for output in core.feed(record):
            if isinstance(output, Produce):
                message = msgspec.msgpack.decode(output.value, type=LaneMessage)
                again[message.catalog, message.partition, message.life, message.seq] = output.value
            elif isinstance(output, Letter):
                dead.add((output.record.partition, output.record.offset))
    for place, value in said.items():
        assert again.get(place) == value, f"lost or changed: {place}"
    lanes = {Lane(catalog, partition) for catalog, partition, _, _ in said}
    for lane in lanes:
        numbers = sorted(seq for catalog, partition, _, seq in said if (catalog, partition) == lane)
        assert numbers == list(range(1, len(numbers) + 1)), f"a hole in what {lane} said"
    assert letters.keys() <= dead, "a dead letter about a record that is none"
    return {"in": len(raw), "said": len(said), "dead": len(dead), "letters": len(letters), "drops": core.drops.total()}


def by_the_registry(kafka: KafkaOptions) -> list[Record]:
    """What the registry said of markets, copies of it included."""
    return [record for record in topic(kafka, RAW.name) if b'"source":"registry"' in record.value]


def opened_more_often_than_said(kafka: KafkaOptions) -> set[str]:
    """The markets that lanes opened more often than the registry said so: a copy had an effect."""
    opened: set[tuple[str, int, int, int, str]] = set()
    # read before what it follows from: an opening that is said meanwhile is not yet among these
    for record in topic(kafka, NORMALIZED.name):
        message = msgspec.msgpack.decode(record.value, type=LaneMessage)
        if message.kind == "market_opened":
            market = decode_body(message.body, MarketOpened).market_id
            opened.add((message.catalog, message.partition, message.life, message.seq, market))
    openings = {record.value for record in by_the_registry(kafka) if b'"kind":"market_open"' in record.value}
    said = Counter(msgspec.json.decode(value, type=RawEvent).market_id for value in openings)
    return set(Counter(market for *_, market in opened) - said)


def headers(kafka: KafkaOptions) -> dict[tuple[str, int], HeaderMessage]:
    """The header of every `(catalog, epoch_id)`; fails where one epoch has two that differ."""
    found: dict[tuple[str, int], HeaderMessage] = {}
    for record in topic(kafka, HEADERS.name):
        message = msgspec.msgpack.decode(record.value, type=HeaderMessage)
        place = (message.catalog, message.epoch_id)
        assert found.setdefault(place, message).header == message.header, f"two headers of {place}"
    return found


def headers_of(kafka: KafkaOptions, catalog: str) -> dict[int, HeaderMessage]:
    """One catalog's headers by epoch."""
    return {epoch_id: message for (name, epoch_id), message in headers(kafka).items() if name == catalog}


def agree(kafka: KafkaOptions, finals: Mapping[str, Iterable[dict[str, Any]]]) -> dict[tuple[str, int], HeaderMessage]:
    """The log's headers; fails unless every final epoch, by catalog, is the one whose header is there."""
    found = headers(kafka)
    for catalog, epochs in finals.items():
        for epoch in epochs:
            header = BundleHeader.decode(found[catalog, epoch["epoch_id"]].header)
            assert header.bundle_hash.hex() == epoch["bundle_hash"], f"{catalog} {epoch['epoch_id']}"
    return found
