"""Writes to `m0.raw` and `m0.outcomes`: the right partition, the time of receipt, and patience with the broker."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from m0common.clock import Clock
from m0common.errors import MessageTooLarge, Unavailable
from m0common.messages import DeadLetter, MarketOutcome, RawEvent, encode, encode_raw, raw_event
from m0common.stream.broker import Broker, Producer, TopicPartition
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce
from m0common.telemetry.logs import logger
from m0common.telemetry.traces import inject
from m0common.topics import DLQ, OUTCOMES, RAW

from m0_ingest import metrics

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
DEAD_LETTER_BYTES = 4096
"""How much of a message that is too large its dead letter keeps."""

Action = Callable[[], Awaitable[None]]
log = logger(__name__)


class Event(NamedTuple):
    """A raw event before it is written. `partition` is where to write it; None lets the group decide."""

    source: str
    source_event_id: str
    group: str
    market_id: str | None
    kind: str
    event_ms: int
    payload: object
    partition: int | None = None


class RawWriter:
    """Writes batches until they are acknowledged; everything is at least once."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._producer: Producer = broker.producer()
        self.partitions = 0
        self._outcome_partitions = 0
        self.problem: str | None = "not connected to the broker yet"

    async def start(self) -> None:
        """Connect and learn how many partitions there are; waits for the broker and its topics."""
        await self._persist(self._producer.start)
        await self._persist(self._count)

    async def _count(self) -> None:
        self.partitions = await self._broker.partitions(RAW.name)
        self._outcome_partitions = await self._broker.partitions(OUTCOMES.name)

    async def nothing_written(self) -> bool:
        """Whether `m0.raw` has never held a message."""
        consumer = self._broker.consumer()
        await self._persist(consumer.start)
        try:
            ends: dict[TopicPartition, int] = {}

            async def look() -> None:
                ends.update(await consumer.end_offsets([TopicPartition(RAW.name, p) for p in range(self.partitions)]))

            await self._persist(look)
        finally:
            await consumer.stop()
        return not any(ends.values())

    async def stop(self) -> None:
        """Let go of the broker."""
        await self._producer.stop()

    def partition_of(self, group: str) -> int:
        """The partition of `m0.raw` that a group lives in: what any Kafka client's default partitioner gives."""
        return partition_for(group.encode(), self.partitions)

    async def write(self, events: Sequence[Event], outcomes: Sequence[MarketOutcome] = ()) -> None:
        """Write all of them, in order per partition; returns once everything is acknowledged, however long that
        takes.
        """
        received = self._clock.now_ms()
        messages = [self._raw(event, received) for event in events]
        messages += [
            Produce(
                OUTCOMES.name,
                partition_for(outcome.catalog.encode(), self._outcome_partitions),
                outcome.market_id.encode(),
                encode(outcome),
            )
            for outcome in outcomes
        ]
        try:
            await self._persist(lambda: self._producer.send(messages))
        except MessageTooLarge:
            for message in messages:
                await self._one(message)
        for event in events:
            metrics.WRITTEN.labels(event.source, event.kind).inc()

    async def _one(self, message: Produce) -> None:
        """Write one message, or a dead letter in its place when the broker refuses its size."""
        try:
            await self._persist(lambda: self._producer.send([message]))
        except MessageTooLarge as error:
            letter = DeadLetter(
                message.topic,
                message.partition,
                -1,
                "ingest",
                "too_large",
                str(error),
                message.key,
                message.value[:DEAD_LETTER_BYTES],
            )
            log.warning("message refused", topic=message.topic, reason=str(error))
            metrics.DEAD_LETTERS.labels("too_large").inc()
            await self._persist(
                lambda: self._producer.send([Produce(DLQ.name, 0, message.topic.encode(), encode(letter))])
            )

    def _raw(self, event: Event, received_ms: int) -> Produce:
        raw: RawEvent = raw_event(
            event.source,
            event.source_event_id,
            event.group,
            event.market_id,
            event.kind,
            event.event_ms,
            received_ms,
            event.payload,
        )
        partition = self.partition_of(event.group) if event.partition is None else event.partition
        return Produce(RAW.name, partition, event.group.encode() or None, encode_raw(raw), inject())

    async def _persist(self, action: Action) -> None:
        wait = FIRST_WAIT_S
        while True:
            try:
                await action()
            except Unavailable as error:
                self.problem = str(error)
                metrics.RETRIES.labels("broker").inc()
                log.warning("broker unavailable, trying again", reason=str(error), wait_s=wait)
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_S)
            else:
                self.problem = None
                return
