"""Takes outcomes from `m0.outcomes` into the database; the first one of a market counts."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from m0common.clock import Clock
from m0common.errors import InvalidValue, Unavailable
from m0common.ids import check_market_id
from m0common.messages import DeadLetter, MarketOutcome, encode
from m0common.store.postgres import Pool, transaction
from m0common.stream.broker import Broker, Consumer, Producer, TopicPartition
from m0common.stream.records import Produce, Record
from m0common.telemetry.logs import logger
from m0common.topics import DLQ, OUTCOMES

from m0_jobs import metrics, repository

GROUP = "m0-jobs"
_BATCH = 200
_POLL_MS = 500
_RETRY_S = 1.0

_log = logger(__name__)
_decode = msgspec.msgpack.Decoder(MarketOutcome).decode


async def _where_committed(_: frozenset[TopicPartition]) -> Mapping[TopicPartition, int]:
    return {}


async def _nothing_to_save(_: frozenset[TopicPartition]) -> None:
    return None


def read_outcome(value: bytes) -> MarketOutcome:
    """A checked outcome. Raises InvalidValue."""
    try:
        outcome = _decode(value)
    except msgspec.MsgspecError as error:
        raise InvalidValue(f"not an outcome: {error}") from error
    check_market_id(outcome.market_id)
    if not 0 <= outcome.outcome <= 255 or len(outcome.evidence_hash) != 32:
        raise InvalidValue(f"outcome {outcome.outcome} of {outcome.market_id} with evidence of another size: 0 to 255")
    return outcome


@dataclass(slots=True)
class OutcomeConsumer:
    """Reads until cancelled; an offset is committed once its outcome is in the database."""

    pool: Pool
    broker: Broker
    clock: Clock

    async def run(self) -> None:
        """A broker or database that is away is waited for."""
        while True:
            consumer, producer = self.broker.consumer(group=GROUP), self.broker.producer()
            try:
                await consumer.start()
                await producer.start()
                await consumer.subscribe([OUTCOMES.name], _where_committed, _nothing_to_save)
                while True:
                    await self.once(consumer, producer)
            except Unavailable as error:
                _log.warning("outcomes_wait", error=str(error))
                await asyncio.sleep(_RETRY_S)
            finally:
                await consumer.stop()
                await producer.stop()

    async def once(self, consumer: Consumer, producer: Producer) -> int:
        """One poll; how many records were read."""
        records = await consumer.getmany(_BATCH, _POLL_MS)
        for record in records:
            await self._take(record, producer)
        if records:
            await consumer.commit({TopicPartition(r.topic, r.partition): r.offset + 1 for r in records})
        return len(records)

    async def _take(self, record: Record, producer: Producer) -> None:
        try:
            outcome = read_outcome(record.value)
        except InvalidValue as error:
            metrics.DEAD_LETTERS.labels("invalid_outcome").inc()
            letter = DeadLetter(
                record.topic, record.partition, record.offset, "jobs", "invalid_outcome", str(error), record.key,
                record.value,
            )  # fmt: skip
            await producer.send([Produce(DLQ.name, 0, record.topic.encode(), encode(letter))])
            return
        async with transaction(self.pool) as connection:
            before = await repository.store_outcome(connection, outcome, self.clock.now_ms())
        kind = "new" if before is None else "repeated" if before == outcome.outcome else "contradicting"
        metrics.OUTCOMES.labels(kind).inc()
        if kind == "contradicting":
            _log.error("outcome_contradicted", market_id=outcome.market_id, kept=before, ignored=outcome.outcome)
