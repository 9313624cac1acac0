"""Writes as one connector: its events, the outcomes that follow from them and how far it is, whole or not at all.

The connector's transactional id shuts out whoever wrote as it before. So a successor that has read the log to its end
knows what was written, and nothing more comes from its predecessor.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from m0common.cursors import cursor
from m0common.errors import DeadLetterError
from m0common.messages import MarketOutcome, RawEvent, encode, encode_raw
from m0common.rights import TRANSACTIONAL_ID_PREFIX
from m0common.stream.broker import Broker, Transactions
from m0common.stream.deadletters import dead_letter
from m0common.stream.partition import partition_for, wire_bytes
from m0common.stream.records import Produce, Record
from m0common.telemetry.context import Headers
from m0common.telemetry.logs import logger
from m0common.telemetry.traces import inject, span
from m0common.topics import BY_NAME, OUTCOMES, RAW

from m0_ingest import metrics

STAGE = "ingest"
NOWHERE = -1
"""The offset of a message that was never written."""
NOTHING: Mapping[str, object | None] = {}

log = logger(__name__)


class ConnectorWriter:
    """The writer of connector `name`. `partitions` is the deployment's count.

    What it writes raises Fenced when another process writes as this connector, Unavailable when it may have been
    written or not: then `start` again, and the log says which.
    """

    def __init__(self, broker: Broker, name: str, partitions: int) -> None:
        self._partitions = partitions
        self._transactions: Transactions = broker.transactions(TRANSACTIONAL_ID_PREFIX + name)
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Become the one who writes as this connector. Raises Unavailable."""
        async with self._turn:
            await self._transactions.start()

    async def stop(self) -> None:
        """Let go of the broker."""
        async with self._turn:
            await self._transactions.stop()

    async def write(
        self,
        events: Sequence[RawEvent] = (),
        outcomes: Sequence[MarketOutcome] = (),
        cursors: Mapping[str, object | None] = NOTHING,
    ) -> None:
        """Write events into the partitions of their groups, outcomes into those of their catalogs, and cursors by key
        (None takes one away). In order per partition; returns when all are committed.
        """
        messages = [
            Produce(RAW.name, self._partition(event.group), event.group.encode(), encode_raw(event), _trace(event))
            for event in events
        ]
        messages += [
            Produce(OUTCOMES.name, self._partition(outcome.catalog), outcome.market_id.encode(), encode(outcome))
            for outcome in outcomes
        ]
        messages += [cursor(key, value) for key, value in cursors.items()]
        await self._send(messages)
        for event in events:
            metrics.WRITTEN.labels(event.source, event.kind).inc()

    async def say(self, partitions: Iterable[int], value: bytes, headers: Headers = ()) -> None:
        """Write the same record of a lane kind into each of these partitions."""
        await self._send([Produce(RAW.name, partition, None, value, headers) for partition in partitions])

    def _partition(self, key: str) -> int:
        return partition_for(key.encode(), self._partitions)

    async def _send(self, messages: Sequence[Produce]) -> None:
        async with self._turn:
            await self._transactions.send([message if _fits(message) else _put_aside(message) for message in messages])


def _fits(message: Produce) -> bool:
    return wire_bytes(message) <= BY_NAME[message.topic].max_message_bytes


def _put_aside(message: Produce) -> Produce:
    """The dead letter that goes in place of a message that its topic does not take."""
    limit = BY_NAME[message.topic].max_message_bytes
    reason = f"message of {wire_bytes(message)} bytes for {message.topic}: the topic's limit is {limit}"
    log.warning("message refused", topic=message.topic, reason=reason)
    metrics.DEAD_LETTERS.labels("too_large").inc()
    origin = Record(message.topic, message.partition, NOWHERE, message.key, message.value, message.headers)
    return dead_letter(STAGE, origin, DeadLetterError("too_large", reason))


def _trace(event: RawEvent) -> Headers:
    """The trace of an event, which begins here."""
    about = {"m0.source": event.source, "m0.source_event_id": event.source_event_id, "m0.kind": event.kind}
    with span("raw event", attributes=about):
        return inject()
