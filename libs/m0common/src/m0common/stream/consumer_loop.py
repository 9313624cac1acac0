"""The loop of services that are not lanes: poll, hand over, commit.

    loop = ConsumerLoop("indexer", [BUNDLES.name], handler, broker, settings.stage, group="indexer")
    await loop.run()

Delivery is at least once: the handler makes its effects durable before it returns, and makes them idempotent. What the
log has lost before it was read stays lost: the loop says so, counts it, and goes on behind the gap.

Where effects lie in a database their positions lie there as well (`StoredPositions`): the loop begins where they say,
and what it commits to the group is a hint for those who look at its lag.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

from m0common.errors import DeadLetterError, M0Error, OffsetsGone
from m0common.settings import Stage
from m0common.stream.broker import AT_BEGINNING, Broker, TopicPartition
from m0common.stream.deadletters import DeadLetterLimit, dead_letter
from m0common.stream.metrics import StageMetrics
from m0common.stream.records import Record
from m0common.stream.worker import Worker, log

Handler = Callable[[Sequence[Record]], Awaitable[None]]
"""Takes a batch, in offset order per partition. Raises Unavailable to be given the same batch again."""


LOOK_EVERY_S = 5.0
"""How often a loop asks where its reader stands although nothing came."""


class Elsewhere(M0Error):
    """A reader's effects say another position than its process knows: they were taken away, or somebody else reads."""

    def __init__(self, reader: str, where: TopicPartition, known: int | None) -> None:
        at = "the beginning" if known is None else f"offset {known}"
        super().__init__(f"{reader} does not stand at {at} of {where.topic} partition {where.partition} any more")


class StoredPositions(Protocol):
    """Where a reader stands by its effects. Both raise Unavailable."""

    async def starts(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where to read on in these partitions; those left out are read from their beginning."""
        ...

    async def look(self) -> None:
        """Raises Elsewhere when the reader does not stand where this process left it."""
        ...


class ConsumerLoop(Worker):
    """Hands batches of some topics to a handler and commits when it has returned.

    With `positions` it begins where they say and not where the group committed; the handler may raise Elsewhere, and
    what it was given is read again from where the reader stands.
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
        group: str,
        member: str | None = None,
        positions: StoredPositions | None = None,
    ) -> None:
        super().__init__(name, broker, settings, metrics, group=group, member=member)
        self._topics = list(topics)
        self._handler = handler
        self._positions = positions
        self._next_look_s = 0.0
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
        except Elsewhere as error:
            log.warning("reads_again", stage=self._name, reason=str(error))
            await self._read_again()
        except OffsetsGone as gone:
            if gone.topic not in self._topics:
                raise  # not what this loop reads, but its handler
            log.error("records_lost", stage=self._name, reason=str(gone))
            self._metrics.gaps.inc()
            where = TopicPartition(gone.topic, gone.partition)
            self._consumer.seek(where, gone.first)
            self._next_offsets[where] = gone.first
            self._dirty = True

    async def _look_after(self) -> None:
        """Look from time to time whether the reader stands where it was left, also when nothing comes."""
        await super()._look_after()
        now_s = asyncio.get_running_loop().time()
        if self._positions is None or now_s < self._next_look_s:
            return
        self._next_look_s = now_s + LOOK_EVERY_S
        await self._retry.run(self._positions.look)

    async def _read_again(self) -> None:
        """Go on where the reader stands."""
        places = self._consumer.reading()
        starts = dict(await self._starts(places))
        beginnings = [where for where, start in starts.items() if start == AT_BEGINNING]
        starts |= await self._retry.run(lambda: self._consumer.begin_offsets(beginnings))
        for where in places & self._consumer.reading():
            self._consumer.seek(where, starts[where])
        self._next_offsets = {where: offset for where, offset in self._next_offsets.items() if where not in places}

    async def _starts(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        positions = self._positions
        if positions is None:
            return {}
        found = await self._retry.run(lambda: positions.starts(places))
        return {where: found.get(where, AT_BEGINNING) for where in places}

    async def _process(self, records: Sequence[Record]) -> None:
        await self._retry.run(lambda: self._hand_over(records))
        self._metrics.messages_in.inc(len(records))
        self._limit.good(len(records) - self._letters)
        self._next_offsets |= {TopicPartition(r.topic, r.partition): r.offset + 1 for r in records}
        self._dirty = True

    async def _hand_over(self, records: Sequence[Record]) -> None:
        self._letters = 0
        await self._handler(records)

    async def _on_assigned(self, partitions: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
        starts = await self._starts(partitions)
        self._has_joined()
        return starts

    async def _on_revoked(self, partitions: frozenset[TopicPartition]) -> None:
        await self._commit()
        self._next_offsets = {where: offset for where, offset in self._next_offsets.items() if where not in partitions}
