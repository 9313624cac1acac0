"""Stores bundles from `m0.bundles`; an offset is committed once its bundle is in the database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from m0common.clock import Clock
from m0common.errors import DeadLetterError
from m0common.settings import Stage
from m0common.store import changes
from m0common.store.postgres import Pool, transaction
from m0common.stream.broker import Broker
from m0common.stream.consumer_loop import ConsumerLoop
from m0common.stream.records import Record
from m0common.telemetry.logs import logger
from m0common.topics import BUNDLES, DLQ

from m0_indexer import bundles, metrics
from m0_indexer.repository import bundles as repository

GROUP = "m0-indexer"
DEAD_VALUE_MAX_BYTES = DLQ.max_message_bytes // 2
"""A bundle may be larger than a dead letter; its beginning and its origin are enough to find it."""

_log = logger(__name__)


@dataclass(slots=True)
class BundleStore:
    """Writes checked bundles; `on_change` is called after one was stored."""

    pool: Pool
    clock: Clock
    on_change: Callable[[], None]

    async def add(self, value: bytes) -> bool:
        """Store the bundle in a message; False when it is there. Raises DeadLetterError, or Unavailable."""
        bundle = bundles.read(value)
        async with transaction(self.pool) as connection:
            added = await repository.store(connection, bundle, self.clock.now_ms())
            if added:
                await changes.announce(connection)
        if added:
            metrics.BUNDLES.labels(bundle.header.catalog).inc()
            self.on_change()
        return added


def bundle_loop(store: BundleStore, broker: Broker, settings: Stage, member: str | None = None) -> ConsumerLoop:
    """The loop that feeds `store` from the topic."""

    async def handle(records: Sequence[Record]) -> None:
        for record in records:
            try:
                await store.add(record.value)
            except DeadLetterError as error:
                _log.error("dead_letter", offset=record.offset, error=error.error, reason=error.reason)
                await loop.dead_letter(record._replace(value=record.value[:DEAD_VALUE_MAX_BYTES]), error)

    loop = ConsumerLoop("indexer", [BUNDLES.name], handle, broker, settings, group=GROUP, member=member)
    return loop
