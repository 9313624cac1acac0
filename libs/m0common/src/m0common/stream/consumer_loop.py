"""The loop of services that are not lanes: poll, hand over, commit.

    loop = ConsumerLoop("indexer", [BUNDLES.name], handler, broker, settings.stage)
    await loop.run()

Delivery is at least once: the handler makes its effects durable before it returns, and makes them idempotent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from m0common.errors import DeadLetterError, Unavailable
from m0common.settings import Stage
from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.deadletters import DeadLetterLimit, TooManyDeadLetters, dead_letter
from m0common.stream.metrics import StageMetrics
from m0common.stream.records import Record
from m0common.stream.retry import Retry, Stopped
from m0common.stream.stuck import Watchdog
from m0common.telemetry.logs import logger

log = logger(__name__)

Handler = Callable[[Sequence[Record]], Awaitable[None]]
"""Takes a batch, in offset order per partition. Raises Unavailable to be given the same batch again."""


class ConsumerLoop:
    """Hands batches of some topics to a handler and commits when it has returned.

    Without a `group` it reads all partitions, from the end (`from_end`) or the beginning, and commits nothing.
    """

    def __init__(
        self,
        name: str,
        topics: Sequence[str],
        handler: Handler,
        broker: Broker,
        settings: Stage | None = None,
        metrics: StageMetrics | None = None,
        *,
        group: str | None = None,
        member: str | None = None,
        from_end: bool = False,
    ) -> None:
        self._name = name
        self._topics = list(topics)
        self._handler = handler
        self._broker = broker
        self._settings = settings or Stage()
        self._metrics = metrics or StageMetrics(name)
        self._group = group
        self._from_end = from_end
        self._consumer = broker.consumer(group=group, member=member)
        self._producer = broker.producer()
        self._watchdog = Watchdog(name, self._settings.stuck_after_ms, self._metrics.stuck.inc)
        self._retry = Retry(name, self._on_unavailable)
        self._limit = DeadLetterLimit(self._settings.dead_letter_window, self._settings.dead_letter_max_share)
        self._stopping = asyncio.Event()
        self._positions: dict[TopicPartition, int] = {}
        self._letters = 0
        self._dirty = False
        self._next_commit_s = 0.0
        self._joined = False
        self._halted: str | None = None

    def ready(self) -> str | None:
        """Readiness check."""
        return self._halted or self._retry.problem or (None if self._joined else f"{self._name} has not joined yet")

    def healthy(self) -> str | None:
        """Health check."""
        return self._watchdog.problem()

    def stop(self) -> None:
        """Finish the batch in hand, commit and return; give up on what is unavailable after the grace period."""
        if not self._stopping.is_set():
            self._stopping.set()
            asyncio.get_running_loop().call_later(self._settings.drain_grace_ms / 1000, self._retry.give_up)

    async def dead_letter(self, record: Record, error: DeadLetterError) -> None:
        """For handlers: put a message aside. Raises TooManyDeadLetters above the limit, which stops the loop."""
        self._limit.bad()
        await self._retry.run(lambda: self._producer.send([dead_letter(self._name, record, error)]))
        self._letters += 1
        self._metrics.dead_letter(error.error)

    async def run(self) -> None:
        """Work until `stop`. What a handler raises, other than Unavailable, ends it."""
        self._watchdog.start()
        try:
            await self._retry.run(self._producer.start)
            await self._retry.run(self._consumer.start)
            await self._retry.run(self._subscribe)
            while not self._stopping.is_set():
                await self._turn()
            await self._commit()
        except Stopped:
            log.warning("stopped_during_outage", consumer=self._name, reason=self._retry.problem)
        except TooManyDeadLetters as error:
            self._halted = f"{self._name} has stopped: {error}"
            log.error("halted", consumer=self._name, reason=str(error))  # noqa: TRY400 - the reason says it all
            await self._consumer.stop()
            while not self._stopping.is_set():
                self._watchdog.beat()
                await self._retry.pause(1)
        finally:
            self._watchdog.stop()
            await self._consumer.stop()
            await self._producer.stop()

    async def _subscribe(self) -> None:
        if self._group is not None:
            await self._consumer.subscribe(self._topics, self._on_assigned, self._on_revoked)
            return
        start = -1 if self._from_end else -2
        counts = {topic: await self._broker.partitions(topic) for topic in self._topics}
        await self._consumer.assign({TopicPartition(t, p): start for t, count in counts.items() for p in range(count)})
        self._joined = True

    async def _turn(self) -> None:
        try:
            records = await self._consumer.getmany(self._settings.batch_records, self._settings.poll_timeout_ms)
        except Unavailable as error:
            self._retry.failed(error)
            await self._retry.pause(0.5)
            return
        finally:
            self._watchdog.beat()
        if records:
            with self._metrics.batch_seconds.time():
                await self._retry.run(lambda: self._hand_over(records))
            self._metrics.messages_in.inc(len(records))
            self._limit.good(len(records) - self._letters)
            self._positions |= {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}
            self._dirty = True
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._next_commit_s:
            self._next_commit_s = now_s + self._settings.commit_interval_ms / 1000
            await self._commit()

    async def _hand_over(self, records: Sequence[Record]) -> None:
        self._letters = 0
        await self._handler(records)

    async def _commit(self) -> None:
        if self._group is None or not self._dirty:
            return
        try:
            with self._metrics.commit_seconds.time():
                await self._consumer.commit(self._positions)
        except Unavailable as error:
            self._retry.failed(error)
        else:
            self._dirty = False
            self._retry.succeeded()

    async def _on_assigned(self, partitions: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        del partitions
        self._joined = True
        self._metrics.rebalances.inc()
        return {}

    async def _on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        await self._commit()
        self._positions = {where: offset for where, offset in self._positions.items() if where not in partitions}

    def _on_unavailable(self) -> None:
        self._metrics.unavailable.inc()
        self._watchdog.beat()
