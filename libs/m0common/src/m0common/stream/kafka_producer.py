"""Writing to Kafka: whole batches per partition, idempotent, acknowledged by all in-sync replicas.

A batch costs a third of what single sends cost. After a time-out the batches may still arrive: the next `send` waits
for them first, so that nothing overtakes, and when the caller repeats the same messages they are not written twice.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError  # type: ignore[import-untyped]

from m0common.errors import MessageTooLarge, SettingsError, Unavailable
from m0common.stream.broker import TopicPartition, Written
from m0common.stream.kafka_admin import open_admin, partition_count
from m0common.stream.kafka_bounds import bounds
from m0common.stream.kafka_call import AWAY, describe
from m0common.stream.kafka_connect import connect
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.kafka_shares import BATCH_BYTES, Flight, absent, handed_over, shared_out
from m0common.stream.kafka_stop import abandon
from m0common.stream.kafka_written import NOT_SAID, Batch, ranges
from m0common.stream.partition import wire_bytes
from m0common.stream.records import Produce
from m0common.topics import Topic


class KafkaProducer:
    """See m0common.stream.broker.Producer."""

    def __init__(self, options: KafkaOptions, catalogue: Mapping[str, Topic]) -> None:
        """Args: `catalogue` says what each topic takes: a service may not ask the broker for settings."""
        self._options = options
        self._catalogue = catalogue
        self._inner: Any = None  # AIOKafkaProducer is untyped
        self._present: set[str] = set()
        """Topics that exist."""
        self._lock = asyncio.Lock()
        self._uncertain: list[Produce] | None = None
        self._in_flight: list[Flight] = []
        self._all_queued = True

    async def start(self) -> None:
        """See Producer. Raises Unavailable when no broker answers, SettingsError when it grants no idempotence."""
        async with self._lock:
            await self._open()

    async def stop(self) -> None:
        """See Producer."""
        async with self._lock:
            await self._close()

    async def send(self, messages: Sequence[Produce]) -> dict[TopicPartition, Written]:
        """See Producer."""
        if not messages:
            return {}
        async with self._lock:
            if self._uncertain is not None:
                repeated = self._all_queued and self._uncertain == list(messages)
                written = await self._acknowledged()
                if repeated:
                    return written
            await self._open()
            await self._queue(messages)
            return await self._acknowledged()

    async def _open(self) -> None:
        if self._inner is not None:
            return
        inner = AIOKafkaProducer(
            **self._options.connection(),
            acks="all",
            enable_idempotence=True,
            compression_type=self._options.compression,
            max_batch_size=BATCH_BYTES,
        )
        try:
            await connect(self._options, inner.start())
            refuse_without_sequence(inner)
        except BaseException:
            await abandon(inner)
            raise
        self._inner = inner

    async def _close(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            await abandon(inner)
        for flight in self._in_flight:
            if flight.delivery.done() and not flight.delivery.cancelled():
                flight.delivery.exception()
        self._in_flight, self._uncertain = [], None

    async def _queue(self, messages: Sequence[Produce]) -> None:
        """Hand everything to aiokafka as batches, in order per partition; nothing when a message is too large."""
        shares = shared_out(messages, self._catalogue, self._inner.create_batch)
        for topic in sorted({share.topic for share in shares} - self._present):
            async with open_admin(self._options) as admin:
                await partition_count(admin, topic)
            self._present.add(topic)
        self._uncertain, self._in_flight, self._all_queued = list(messages), [], False
        try:
            async with asyncio.timeout(self._options.send_timeout_ms / 1000):
                async for flight in handed_over(shares, self._inner):
                    self._in_flight.append(flight)
        except TimeoutError as error:
            raise Unavailable(self._overdue()) from error
        except AssertionError as error:
            await self._close()
            raise Unavailable(absent(shares)) from error
        except AWAY as error:
            await self._close()
            raise Unavailable(f"send to {sorted({m.topic for m in messages})}: {describe(error)}") from error
        self._all_queued = True

    async def _acknowledged(self) -> dict[TopicPartition, Written]:
        """Wait until everything in flight is acknowledged; where it is."""
        if self._in_flight:
            deliveries = [flight.delivery for flight in self._in_flight]
            _, pending = await asyncio.wait(deliveries, timeout=self._options.send_timeout_ms / 1000)
            if pending:
                raise Unavailable(self._overdue())
        errors = [error for flight in self._in_flight if (error := flight.delivery.exception()) is not None]
        flights, messages = self._in_flight, self._uncertain or []
        self._in_flight, self._uncertain = [], None
        if errors:
            # a failed batch leaves a gap in the producer's sequence numbers: go on with a new producer
            await self._close()
            if isinstance(errors[0], MessageSizeTooLargeError | RecordListTooLargeError):
                largest = max(messages, key=wire_bytes)
                raise MessageTooLarge(
                    f"message of {wire_bytes(largest)} bytes for {largest.topic}: the broker's limit is lower; "
                    "run `m0 topics apply`, or raise message.max.bytes of the broker",
                )
            raise Unavailable(f"send to {sorted({m.topic for m in messages})}: {describe(errors[0])}") from errors[0]
        return await self._written(flights)

    async def _written(self, flights: Sequence[Flight]) -> dict[TopicPartition, Written]:
        batches = [Batch(flight.where, flight.messages, flight.delivery.result().offset) for flight in flights]
        vague = sorted({batch.where for batch in batches if batch.first == NOT_SAID})
        return ranges(batches, await bounds(self._options, vague))

    def _overdue(self) -> str:
        topics = sorted({message.topic for message in self._uncertain or []})
        return f"send to {topics}: not acknowledged within {self._options.send_timeout_ms} ms; repeat the same messages"


def refuse_without_sequence(inner: Any) -> None:
    """Raise SettingsError unless the started producer numbers its batches: a retry must write nothing twice."""
    manager = inner._txn_manager  # noqa: SLF001 - aiokafka does not say it in public
    if manager is None or not manager.has_pid():
        raise SettingsError(
            "the producer is not idempotent: the broker must give it a producer id (on a cluster with ACLs: "
            "IdempotentWrite on the cluster, or Write on the topics)",
        )
