"""Stores bundles from `m0.bundles`; an offset is committed once its bundle is in the database."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from m0common.clock import Clock
from m0common.errors import DeadLetterError, Unavailable
from m0common.messages import DeadLetter, encode
from m0common.store.postgres import Pool, transaction
from m0common.stream.broker import Broker, Consumer, Producer, TopicPartition
from m0common.stream.records import Produce, Record
from m0common.telemetry.logs import logger
from m0common.topics import BUNDLES, DLQ

from m0_indexer import bundles, metrics
from m0_indexer.repository import bundles as repository

GROUP = "m0-indexer"
MAX_RECORDS = 50
POLL_MS = 500
RETRY_S = 1.0

_log = logger(__name__)


async def _nothing_to_save(_: frozenset[TopicPartition]) -> None:
    return None


@dataclass(slots=True)
class BundleConsumer:
    """Reads bundles into the database; `on_change` is called after one was stored."""

    pool: Pool
    broker: Broker
    clock: Clock
    on_change: Callable[[], None]
    assigned: bool = False
    caught_up: bool = False

    async def run(self) -> None:
        """Consume for ever; a broker or database that is away is waited for."""
        while True:
            consumer, producer = self.broker.consumer(group=GROUP), self.broker.producer()
            try:
                await consumer.start()
                await producer.start()
                await consumer.subscribe([BUNDLES.name], self._where_committed, _nothing_to_save)
                while True:
                    await self.once(consumer, producer)
            except Unavailable as error:
                # a new consumer starts from the committed offset: nothing read but not stored is skipped
                _log.warning("bundles_wait", error=str(error))
                await asyncio.sleep(RETRY_S)
            finally:
                await consumer.stop()
                await producer.stop()

    def ready(self) -> str | None:
        """None once every bundle that waited has been stored."""
        return None if self.caught_up else "bundles are still being read"

    async def once(self, consumer: Consumer, producer: Producer) -> int:
        """One poll; how many records were read."""
        records = await consumer.getmany(MAX_RECORDS, POLL_MS)
        for record in records:
            await self._store(record, producer)
        if records:
            await consumer.commit({TopicPartition(r.topic, r.partition): r.offset + 1 for r in records})
        elif self.assigned:
            self.caught_up = True
        return len(records)

    async def _where_committed(self, _: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.assigned = True
        return {}

    async def _store(self, record: Record, producer: Producer) -> None:
        try:
            bundle = bundles.read(record.value)
        except DeadLetterError as error:
            _log.error("dead_letter", topic=record.topic, offset=record.offset, error=error.error, reason=error.reason)
            letter = DeadLetter(
                record.topic, record.partition, record.offset, "indexer", error.error, error.reason, record.key,
                record.value[: DLQ.max_message_bytes // 2],
            )  # fmt: skip
            await producer.send([Produce(DLQ.name, 0, record.topic.encode(), encode(letter))])
            metrics.DEAD_LETTERS.labels(error.error).inc()
            return
        async with transaction(self.pool) as connection:
            added = await repository.store(connection, bundle, self.clock.now_ms())
        if added:
            metrics.BUNDLES.labels(bundle.header.catalog).inc()
            self.on_change()
