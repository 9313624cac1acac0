"""Writing a log anew at exactly the offsets that it had: for a restore, into partitions that nobody else writes.

Where the log had no record (the mark of a transaction, what was aborted or compacted away) a mark of an aborted
transaction is written: it takes an offset and no reader ever sees it. Marks are written as the transaction coordinator
writes them (WriteTxnMarkers), any number at once, which an administrator of the cluster may.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import for_code  # type: ignore[import-untyped]
from aiokafka.protocol.transaction import InitProducerIdRequest  # type: ignore[import-untyped]

from m0common.errors import SettingsError, Unavailable
from m0common.stream.broker import TopicPartition
from m0common.stream.kafka_call import call
from m0common.stream.kafka_connect import connect
from m0common.stream.kafka_markers import Mark, Marks
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.kafka_stop import abandon
from m0common.stream.partition import BATCH_OVERHEAD_BYTES, wire_bytes
from m0common.stream.records import Produce, Record
from m0common.topics import BY_NAME

FILLER = b"m0-restore"
"""The value of a record that stands for one that is gone and is deleted with all before it."""
FILLER_AT_ONCE = 20_000
MARKS_AT_ONCE = 500
"""Of one request: Kafka appends each by itself."""
BATCH_BYTES = 512 * 1024
NO_TRANSACTION_MS = 60_000
CREATE_TIME = 0


class ExactWriter:
    """Writes partitions that are its alone, each piece behind `at`, where the partition must end. Every method raises
    Unavailable, after which nobody knows whether the piece is there: where the partition ends says it.
    """

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._timeout_ms = options.request_timeout_ms
        self._records = self._producer(options.compression)
        self._filler = self._producer("gzip")
        self._producer_id = -1
        self._waiting: list[tuple[Mark, asyncio.Future[None]]] = []
        self._marking: asyncio.Task[None] | None = None

    def _producer(self, compression: str | None) -> Any:  # untyped
        return AIOKafkaProducer(
            **self._options.connection(),
            acks="all",
            enable_idempotence=True,
            compression_type=compression,
            max_batch_size=2 * BATCH_BYTES,
        )

    async def __aenter__(self) -> Self:
        try:
            await connect(self._options, self._records.start())
            await connect(self._options, self._filler.start())
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await abandon(self._records)
        await abandon(self._filler)

    async def write(self, where: TopicPartition, at: int, records: Sequence[Record]) -> None:
        """These records, whose offsets follow each other, with key, value, headers and time as they have them.

        Raises SettingsError when the topic gives them other times, or another writer was there.
        """
        compacted = where.topic in BY_NAME and BY_NAME[where.topic].compacted
        for share in _shares(where.topic, records):
            batch = self._records.create_batch()
            for record in share:
                value = None if compacted and not record.value else record.value
                batch.append(timestamp=record.append_ms, key=record.key, value=value, headers=list(record.headers))
            said = await self._send(self._records, batch, where)
            self._check(where, at, said.offset)
            if said.timestamp_type != CREATE_TIME:
                raise SettingsError(
                    f"{where.topic} partition {where.partition} gave restored records the time of now: the brokers did "
                    "not know yet that it keeps times; delete the topic, run `m0 topics apply`, then restore again"
                )
            at += len(share)

    async def fill(self, where: TopicPartition, at: int, count: int) -> None:
        """So many records that stand for nothing and are to be deleted."""
        while count > 0:
            batch, size = self._filler.create_batch(), min(count, FILLER_AT_ONCE)
            for _ in range(size):
                batch.append(timestamp=None, key=None, value=FILLER)
            self._check(where, at, (await self._send(self._filler, batch, where)).offset)
            at, count = at + size, count - size

    async def skip(self, where: TopicPartition, count: int) -> None:
        """So many offsets without a record. What is asked for meanwhile, for other partitions, goes with it."""
        while count > 0:
            size = min(count, MARKS_AT_ONCE)
            written = asyncio.get_running_loop().create_future()
            self._waiting.append((Mark(*where, size), written))
            if self._marking is None or self._marking.done():
                self._marking = asyncio.create_task(self._write_waiting())
            await written
            count -= size

    async def _write_waiting(self) -> None:
        while self._waiting:
            taken: list[tuple[Mark, asyncio.Future[None]]] = []
            while self._waiting and sum(mark.size for mark, _ in taken) < MARKS_AT_ONCE:
                taken.append(self._waiting.pop(0))
            failed: Unavailable | None = None
            try:
                await self._write_marks([mark for mark, _ in taken])
            except Unavailable as error:
                failed = error
            for _, written in taken:
                if written.cancelled():
                    continue
                if failed is None:
                    written.set_result(None)
                else:
                    written.set_exception(failed)

    async def _write_marks(self, marks: Sequence[Mark]) -> None:
        client, what = self._records.client, "write marks of transactions"
        if self._producer_id < 0:
            request = InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=NO_TRANSACTION_MS)
            said = await self._ask(what, client.get_random_node(), request)
            _refuse(what, said.error_code)
            self._producer_id = said.producer_id
        by_leader: dict[int, list[Mark]] = {}
        for mark in marks:
            await call(what, self._timeout_ms, client._wait_on_metadata(mark.topic))  # noqa: SLF001 - as its producer
            leader = client.cluster.leader_for_partition(KafkaPartition(mark.topic, mark.partition))
            if leader is None or leader < 0:
                raise Unavailable(f"{what}: {mark.topic} partition {mark.partition} has no leader now")
            by_leader.setdefault(leader, []).append(mark)
        for leader, theirs in by_leader.items():
            said = await self._ask(what, leader, Marks(self._producer_id, theirs))
            for code in Marks.codes(said):
                _refuse(what, code)

    async def _ask(self, what: str, node: int, request: Any) -> Any:  # aiokafka is untyped
        return await call(what, self._timeout_ms, self._records.client.send(node, request))

    async def _send(self, producer: Any, batch: Any, where: TopicPartition) -> Any:  # aiokafka is untyped
        batch.close()
        what = f"write to {where.topic} partition {where.partition}"
        timeout_ms = self._options.send_timeout_ms
        delivery = await call(what, timeout_ms, producer.send_batch(batch, where.topic, partition=where.partition))
        return await call(what, timeout_ms, delivery)

    @staticmethod
    def _check(where: TopicPartition, wanted: int, found: int) -> None:
        if found != wanted:
            raise SettingsError(
                f"{where.topic} partition {where.partition}: a record came to offset {found} and not {wanted}: "
                "somebody else writes there; stop every service, empty the cluster and restore again"
            )


def _refuse(what: str, code: int) -> None:
    """Raise Unavailable for a code that is an error's."""
    error = for_code(code)
    if error.errno != 0:
        raise Unavailable(
            f"{what}: {error.__name__}: an administrator of the cluster may, as who `m0 topics apply` runs"
        )


def _shares(topic: str, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """The records in batches that the topic takes."""
    limit = min(BATCH_BYTES, BY_NAME[topic].max_message_bytes if topic in BY_NAME else BATCH_BYTES)
    first, size = 0, BATCH_OVERHEAD_BYTES
    for number, record in enumerate(records):
        more = wire_bytes(Produce(topic, record.partition, record.key, record.value, record.headers))
        if number > first and size + more > limit:
            yield records[first:number]
            first, size = number, BATCH_OVERHEAD_BYTES
        size += more
    if first < len(records):
        yield records[first:]
