"""Rebalances of a consumer group: aiokafka takes its notes here, and the application acts on them at its next poll."""

import asyncio

from aiokafka import ConsumerRebalanceListener  # type: ignore[import-untyped]
from aiokafka import TopicPartition as KafkaPartition

from m0common.stream.broker import TopicPartition

NOTHING: frozenset[TopicPartition] = frozenset()


class Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes of what aiokafka's coordinator did, for the application's task to act on."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self.moving = True
        """No record may be delivered: partitions are being moved."""
        self.changed = asyncio.Event()
        self.held = NOTHING
        """What the application holds."""
        self.offered: frozenset[TopicPartition] | None = None
        self.revoked: asyncio.Future[None] | None = None

    async def on_partitions_revoked(self, revoked: set[KafkaPartition]) -> None:
        """Wait, within limits, until the application has given back what it holds."""
        del revoked  # every rebalance takes everything
        self.moving = True
        self.offered = None
        if self.held and self.revoked is None:
            self.revoked = asyncio.get_running_loop().create_future()
        self.changed.set()
        if self.revoked is not None:
            await asyncio.wait([self.revoked], timeout=self._wait_s)

    async def on_partitions_assigned(self, assigned: set[KafkaPartition]) -> None:
        """Offer the partitions to the application's next poll."""
        self.offered = frozenset(TopicPartition(where.topic, where.partition) for where in assigned)
        self.changed.set()
