"""Publishes final epochs in order: puts them into the outbox, and sends what waits in the outbox."""

import asyncio
from dataclasses import dataclass, field

import msgspec
from m0common.clock import Clock
from m0common.errors import Unavailable
from m0common.messages import encode
from m0common.store.postgres import Connection, Pool, transaction
from m0common.stream.broker import Broker, Producer
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce
from m0common.telemetry.logs import logger
from m0common.topics import FINALIZED_EPOCHS, FINALIZED_PREDICTIONS
from m0index import changes
from m0index.tables import history, outbox

from m0_indexer import metrics
from m0_indexer.bodies import Bodies, Heads, is_gone, read_whole
from m0_indexer.events import happens
from m0_indexer.tracing import publishing

BATCH = 500
EPOCHS_AT_ONCE = 20
"""Put into the outbox in one transaction; what they make is sent before the next."""
IDLE_S = 5.0
RETRY_S = 1.0
_LOCK = "outbox"

_log = logger(__name__)


def partition_of(routing: str, partitions: int) -> int:
    """The partition of a catalog (of nothing: 0); all messages of a catalog share one, so they stay in order."""
    return partition_for(routing.encode(), partitions) if routing else 0


async def fill_outbox(connection: Connection, now_ms: int, heads: Heads | None, held: set[str]) -> bool:
    """Put some final epochs with their leaves into the outbox, per catalog in epoch order; whether there may be more.

    An epoch whose bundle is not stored holds back the later ones of its catalog, which is then in `held`, unless its
    body is gone from the log: then it is published without leaves.
    """
    whole = await read_whole(connection, heads)
    epochs = await outbox.unpublished(connection, EPOCHS_AT_ONCE, held)
    for epoch in epochs:
        message = epoch.message
        missing = not epoch.bundled and is_gone(message, heads, whole)
        if message.catalog in held or not (epoch.bundled or missing):
            held.add(message.catalog)
            continue
        if missing:
            message = msgspec.structs.replace(message, body="missing")
            metrics.BODIES_MISSING.labels(message.catalog).inc()
            _log.error("body_missing", catalog=message.catalog, epoch_id=message.epoch_id)
            await changes.notify(connection)
        leaves = await outbox.predictions(connection, message.bundle_hash)
        key = message.catalog.encode()
        messages = [(FINALIZED_EPOCHS.name, message.catalog, key, encode(message))]
        messages += [
            (FINALIZED_PREDICTIONS.name, message.catalog, leaf.market_id.encode(), encode(leaf)) for leaf in leaves
        ]
        await outbox.put(connection, messages, now_ms)
        await outbox.mark_published(connection, message.catalog, message.epoch_id)
        _log.info("epoch_final", catalog=message.catalog, epoch_id=message.epoch_id, leaves=len(leaves))
    return len(epochs) == EPOCHS_AT_ONCE


@dataclass(slots=True)
class Publisher:
    """Sends the outbox in order. A message is removed once acknowledged, so it may be sent again but never lost."""

    pool: Pool
    broker: Broker
    clock: Clock
    wake: asyncio.Event
    _partitions: dict[str, int] = field(default_factory=dict)
    _bodies: Bodies = field(init=False)
    _waiting: int = 0

    def __post_init__(self) -> None:
        self._bodies = Bodies(self.broker)

    async def run(self) -> None:
        """Whenever woken, and every few seconds; never ends by itself."""
        producer = self.broker.producer()
        await _started(producer)
        try:
            while True:
                try:
                    await self.once(producer)
                except Unavailable as error:
                    _log.warning("publisher_waits", error=str(error))
                    await asyncio.sleep(RETRY_S)
                    continue
                await happens(self.wake, IDLE_S)
        finally:
            await producer.stop()

    async def once(self, producer: Producer) -> int:
        """Put what became final into the outbox and send everything that waits; how many messages were sent."""
        now_ms = self.clock.now_ms()
        heads = await self._bodies.heads(now_ms) if self._waiting else None
        total, more = 0, True
        held: set[str] = set()
        while more:
            async with transaction(self.pool) as connection:
                await history.lock(connection, _LOCK)
                more = await fill_outbox(connection, now_ms, heads, held)
            while sent := await self._send(producer):
                total += sent
        async with transaction(self.pool) as connection:
            self._waiting = await outbox.waiting(connection)
            metrics.OUTBOX.set(await outbox.size(connection))
        metrics.WAITING.set(self._waiting)
        return total

    async def _send(self, producer: Producer) -> int:
        async with transaction(self.pool) as connection:
            await history.lock(connection, _LOCK)
            waiting = await outbox.oldest(connection, BATCH)
            if not waiting:
                return 0
            messages = [
                Produce(
                    w.topic,
                    partition_of(w.routing, await self._count(w.topic)),
                    w.key,
                    w.value,
                    publishing(w.topic, w.value),
                )
                for w in waiting
            ]
            await producer.send(messages)
            await outbox.sent(connection, waiting[-1].id)
        for message in messages:
            metrics.PUBLISHED.labels(message.topic).inc()
        return len(messages)

    async def _count(self, topic: str) -> int:
        if topic not in self._partitions:
            self._partitions[topic] = await self.broker.partitions(topic)
        return self._partitions[topic]


async def _started(producer: Producer) -> None:
    while True:
        try:
            await producer.start()
        except Unavailable as error:
            _log.warning("producer_waits", error=str(error))
            await asyncio.sleep(RETRY_S)
        else:
            return
