"""What the live stages left in the topics of a small log, to be published again bit by bit before a signer's eyes."""

import asyncio
import dataclasses

import lanes_world as world
import msgspec
from m0common.canonical import BundleHeader
from m0common.clock import ManualClock
from m0common.messages import HeaderMessage, encode
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce, Record
from m0common.topics import HEADERS, MANIFESTS, PREDICTIONS, STATE, TOPICS
from recorded_world import Recorded

BASE_MS, EPOCH_MS, FIRST_EPOCH, PARTITIONS = world.BASE_MS, world.EPOCH_MS, world.FIRST, world.PARTITIONS
HEART = world.HEART


class Live:
    """The topics of a log that stages have worked through."""

    def __init__(self, records: list[Record]) -> None:
        self.raw = records
        self.recorded = asyncio.run(Recorded().of(records))
        self.headers = [message for _, message in sorted(self.recorded.headers().items())]

    def topic(self, name: str) -> list[Record]:
        """Everything in a topic, in the order appended within each partition."""
        return [r for p in range(PARTITIONS) for r in self.recorded.broker.log(name, p)]

    @property
    def predictions(self) -> list[Record]:
        return self.topic(PREDICTIONS.name)

    @property
    def states(self) -> list[Record]:
        """State topics and the manifests over them."""
        return [r for name in (*(t.name for t in STATE.values()), MANIFESTS.name) for r in self.topic(name)]

    @property
    def headers_partition(self) -> int:
        return self.topic(HEADERS.name)[0].partition

    def header_messages(self, messages: list[HeaderMessage] | None = None) -> list[Produce]:
        found = self.headers if messages is None else messages
        return [Produce(HEADERS.name, self.headers_partition, b"coins", encode(message)) for message in found]


class Stage:
    """A broker on which a log is published again, with its append times."""

    def __init__(self) -> None:
        self.clock = ManualClock(BASE_MS)
        self.broker = MemoryBroker(self.clock)

    async def prepare(self) -> None:
        await self.broker.create_topics(TOPICS, PARTITIONS)

    def publish(self, messages: list[Record] | list[Produce]) -> None:
        for message in messages:
            if isinstance(message, Record):
                self.clock.advance(message.append_ms - self.clock.now_ms())
            self.broker.append([Produce(message.topic, message.partition, message.key, message.value)])


def with_header(message: HeaderMessage, **fields) -> HeaderMessage:
    """The message with other fields in its canonical header."""
    header = dataclasses.replace(BundleHeader.decode(message.header), **fields)
    return msgspec.structs.replace(message, header=header.encode())


def behind(message: HeaderMessage, before: HeaderMessage) -> HeaderMessage:
    """The header as the bundle stage would publish it behind another one."""
    return with_header(message, prev_bundle_hash=BundleHeader.decode(before.header).bundle_hash)
