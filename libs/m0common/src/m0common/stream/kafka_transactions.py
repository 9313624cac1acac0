"""Writing to Kafka in transactions, under a transactional id that shuts out whoever had it before.

An open transaction holds back every reader of its partitions, so one is as short as its messages: begun, sent and
committed in one call. The one of a writer that died is aborted by its successor's start, and without a successor by
the broker after TIMEOUT_MS.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced  # type: ignore[import-untyped]

from m0common.errors import Fenced, Unavailable
from m0common.stream.kafka_call import AWAY, describe
from m0common.stream.kafka_connect import connect
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.kafka_shares import BATCH_BYTES, Share, absent, handed_over, shared_out
from m0common.stream.kafka_stop import abandon
from m0common.stream.records import Produce
from m0common.topics import Topic

TIMEOUT_MS = 10_000
"""The broker aborts a transaction that has been open for so long (at most its `transaction.max.timeout.ms`)."""
ABORT_S = 2.0
"""So long a transaction that cannot be finished is given for its abort."""


class KafkaTransactions:
    """See m0common.stream.broker.Transactions."""

    def __init__(self, options: KafkaOptions, name: str, catalogue: Mapping[str, Topic]) -> None:
        self._options = options
        self._name = name
        self._catalogue = catalogue
        self._inner: Any = None  # AIOKafkaProducer is untyped
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """See Transactions."""
        async with self._lock:
            await self._close()
            inner = AIOKafkaProducer(
                **self._options.connection(),
                transactional_id=self._name,
                transaction_timeout_ms=TIMEOUT_MS,
                compression_type=self._options.compression,
                max_batch_size=BATCH_BYTES,
            )
            try:
                await connect(self._options, inner.start())
            except BaseException:
                await abandon(inner)
                raise
            self._inner = inner

    async def stop(self) -> None:
        """See Transactions."""
        async with self._lock:
            await self._close()

    async def send(self, messages: Sequence[Produce]) -> None:
        """See Transactions."""
        if not messages:
            return
        async with self._lock:
            if self._inner is None:
                raise Unavailable(f"the producer {self._name} is not started, or a transaction of it has failed")
            shares = shared_out(messages, self._catalogue, self._inner.create_batch)
            try:
                async with asyncio.timeout(self._options.send_timeout_ms / 1000):
                    await self._transact(shares)
            except (ProducerFenced, InvalidProducerEpoch) as error:
                await self._close()
                raise Fenced(f"another process writes as {self._name} now, or a transaction took too long") from error
            except BaseException as error:
                await self._give_up()
                match error:
                    case TimeoutError():
                        why = f"not committed within {self._options.send_timeout_ms} ms"
                    case AssertionError():
                        why = absent(shares)
                    case _ if isinstance(error, AWAY):
                        why = describe(error)
                    case _:
                        raise
                raise Unavailable(f"transaction of {self._name}: {why}") from error

    async def _transact(self, shares: Sequence[Share]) -> None:
        inner = self._inner
        await inner.begin_transaction()
        deliveries = [flight.delivery async for flight in handed_over(shares, inner)]
        results = await asyncio.gather(*deliveries, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        await inner.commit_transaction()

    async def _give_up(self) -> None:
        """Abort what was begun when that can still be done; readers wait for it."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(ABORT_S):
                await self._inner.abort_transaction()
        await self._close()

    async def _close(self) -> None:
        inner, self._inner = self._inner, None
        if inner is not None:
            await abandon(inner)
            _look_at_end(inner)


def _look_at_end(inner: Any) -> None:
    """Take what aiokafka keeps for whoever commits: what failed before is no error that nobody has seen."""
    end = inner._txn_manager.wait_for_transaction_end()  # noqa: SLF001 - aiokafka does not say it in public
    if end is not None and end.done() and not end.cancelled():
        end.exception()
