"""The loop of services that are not lanes: poll, hand over, commit.

    loop = ConsumerLoop("indexer", [BUNDLES.name], handler, broker, settings.stage, group="indexer")
    await loop.run()

Delivery is at least once: the handler makes its effects durable before it returns, and makes them idempotent. What the
log has lost before it was read stays lost: the loop says so, counts it, and goes on behind the gap.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from m0common.errors import DeadLetterError, OffsetsGone
from m0common.settings import Stage
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.deadletters import DeadLetterLimit, dead_letter
from m0common.stream.metrics import StageMetrics
from m0common.stream.records import Record
from m0common.stream.worker import Worker, log

Handler = Callable[[Sequence[Record]], Awaitable[None]]
"""Takes a batch, in offset order per partition. Raises Unavailable to be given the same batch again."""


class ConsumerLoop(Worker):
    """Hands batches of some topics to a handler and commits when it has returned."""

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        handler: Handler,
        broker: Broker,
        settings: Stage | None = None,
        metrics: StageMetrics | None = None,
        *,
        group: str,
        member: str | None = None,
    ) -> None:
        super().__init__(name, broker, settings, metrics, group=group, member=member)
        self._topics = list(topics)
        self._handler = handler
        self._letters = 0
        self._limit = DeadLetterLimit(self._settings.dead_letter_window, self._settings.dead_letter_max_share)

    async def dead_letter(self, record: Record, error: DeadLetterError, *, limited: bool = True) -> None:
        """For handlers: put a message aside. Raises TooManyDeadLetters above the limit, which stops the loop.

        Not `limited` where bad messages are no sign of a bad deploy: nobody who may write a topic can stop its readers.
        """
        if limited:
            self._limit.bad()
        await self._retry.send(self._producer, [dead_letter(self._name, record, error)])
        self._letters += 1
        self._metrics.dead_letter(error.error)

    async def _open(self) -> None:
        await self._retry.run(
            lambda: self._consumer.subscribe(self._topics, self._on_assigned, self._on_revoked),
        )

    async def _turn(self, poll_ms: int) -> None:
        try:
            await super()._turn(poll_ms)
        except OffsetsGone as gone:
            if gone.topic not in self._topics:
                raise  # not what this loop reads, but its handler
            log.error("records_lost", stage=self._name, reason=str(gone))
            self._metrics.gaps.inc()
            where = TopicPartition(gone.topic, gone.partition)
            self._consumer.seek(where, gone.first)
            self._positions[where] = gone.first
            self._dirty = True

    async def _process(self, records: Sequence[Record]) -> None:
        await self._retry.run(lambda: self._hand_over(records))
        self._metrics.messages_in.inc(len(records))
        self._limit.good(len(records) - self._letters)
        self._positions |= {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}
        self._dirty = True

    async def _hand_over(self, records: Sequence[Record]) -> None:
        self._letters = 0
        await self._handler(records)

    async def _on_assigned(self, partitions: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        del partitions
        self._joined = True
        self._metrics.rebalances.inc()
        return {}

    async def _on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        await self._commit()
        self._positions = {where: offset for where, offset in self._positions.items() if where not in partitions}
