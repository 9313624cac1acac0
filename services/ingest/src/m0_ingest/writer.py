"""Writes to `m0.raw` and `m0.outcomes`: into the right partition, and never without an acknowledgement."""

from collections.abc import Iterable, Sequence

from m0common.errors import DeadLetterError, MessageTooLarge, Unavailable
from m0common.messages import MarketOutcome, RawEvent, encode, encode_raw
from m0common.stream.broker import Broker, Producer, TopicPartition
from m0common.stream.deadletters import dead_letter
from m0common.stream.follow import bounds
from m0common.stream.partition import partition_for, refuse_other_count
from m0common.stream.records import Produce, Record
from m0common.telemetry.context import Headers
from m0common.telemetry.logs import logger
from m0common.telemetry.traces import inject, span
from m0common.topics import OUTCOMES, RAW

from m0_ingest import metrics

STAGE = "ingest"
NOWHERE = -1
"""The offset of a message that was never written."""

log = logger(__name__)


class RawWriter:
    """Writes batches; what raises Unavailable may have been written, and is written again: everything is at least
    once. `partitions` is the deployment's count.
    """

    def __init__(self, broker: Broker, partitions: int) -> None:
        self.partitions = partitions
        self.problem: str | None = "not connected to the broker yet"
        self._broker = broker
        self._producer: Producer = broker.producer()

    async def start(self) -> None:
        """Connect. Raises Unavailable, and SettingsError when the log has another number of partitions."""
        for topic in (RAW, OUTCOMES):
            refuse_other_count(topic, await self._broker.partitions(topic.name), self.partitions)
        await self._producer.start()
        self.problem = None

    async def stop(self) -> None:
        """Let go of the broker."""
        await self._producer.stop()

    async def nothing_written(self) -> bool:
        """Whether `m0.raw` has never held a message. Raises Unavailable."""
        log = await bounds(self._broker, [TopicPartition(RAW.name, p) for p in range(self.partitions)])
        return not any(log.ends.values())

    async def write(self, events: Sequence[RawEvent], outcomes: Sequence[MarketOutcome] = ()) -> None:
        """Write events into the partitions of their groups and outcomes into those of their catalogs.

        In order per partition; returns when all are acknowledged. Raises Unavailable.
        """
        messages = [
            Produce(RAW.name, self._partition(event.group), event.group.encode(), encode_raw(event), _trace(event))
            for event in events
        ]
        messages += [
            Produce(OUTCOMES.name, self._partition(outcome.catalog), outcome.market_id.encode(), encode(outcome))
            for outcome in outcomes
        ]
        await self._send(messages)
        for event in events:
            metrics.WRITTEN.labels(event.source, event.kind).inc()

    async def say(self, partitions: Iterable[int], value: bytes, headers: Headers = ()) -> None:
        """Write the same record of a lane kind into each of these partitions. Raises Unavailable."""
        await self._send([Produce(RAW.name, partition, None, value, headers) for partition in partitions])

    def _partition(self, key: str) -> int:
        return partition_for(key.encode(), self.partitions)

    async def _send(self, messages: list[Produce]) -> None:
        try:
            try:
                await self._producer.send(messages)
            except MessageTooLarge:  # nothing was written: what fits goes, each other one leaves a dead letter
                for message in messages:
                    await self._one(message)
        except Unavailable as error:
            self.problem = str(error)
            raise
        self.problem = None

    async def _one(self, message: Produce) -> None:
        try:
            await self._producer.send([message])
        except MessageTooLarge as error:
            log.warning("message refused", topic=message.topic, reason=str(error))
            metrics.DEAD_LETTERS.labels("too_large").inc()
            origin = Record(message.topic, message.partition, NOWHERE, message.key, message.value, message.headers)
            await self._producer.send([dead_letter(STAGE, origin, DeadLetterError("too_large", str(error)))])


def _trace(event: RawEvent) -> Headers:
    """The trace of an event, which begins here."""
    about = {"m0.source": event.source, "m0.source_event_id": event.source_event_id, "m0.kind": event.kind}
    with span("raw event", attributes=about):
        return inject()
