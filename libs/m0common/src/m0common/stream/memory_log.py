"""Partitions of the in-memory broker: ordered records with offsets, their beginnings and ends, open transactions."""

import bisect
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from m0common.clock import Clock
from m0common.errors import Fenced, MessageTooLarge, OffsetsGone, Unavailable
from m0common.stream.broker import TopicPartition, Written
from m0common.stream.partition import wire_bytes
from m0common.stream.records import Produce, Record
from m0common.telemetry.context import trace_of
from m0common.topics import Topic


@dataclass
class Log:
    """One partition. Offsets have gaps where records were compacted or aborted and where transactions ended."""

    records: list[Record] = field(default_factory=list)
    begin_offset: int = 0
    end_offset: int = 0
    open: dict[int, int] = field(default_factory=dict)
    """Open transactions and the first offset of each."""

    @property
    def stable_end(self) -> int:
        """Up to where it can be read: Kafka's last stable offset."""
        return min(self.open.values(), default=self.end_offset)

    def read(self, offset: int, limit: int) -> tuple[list[Record], int]:
        """Up to `limit` readable records from `offset` on, and the position after them."""
        start = bisect.bisect_left(self.records, offset, key=_offset)
        stop = bisect.bisect_left(self.records, self.stable_end, key=_offset)
        if stop - start > limit:
            found = self.records[start : start + limit]
            return found, found[-1].offset + 1
        return self.records[start:stop], max(offset, self.stable_end)

    def truncate(self, before: int) -> None:
        """Delete what is older than offset `before`, at most everything."""
        self.begin_offset = max(self.begin_offset, min(before, self.end_offset))
        self.records = [record for record in self.records if record.offset >= self.begin_offset]

    def end_transaction(self, transaction: int, aborted: frozenset[int]) -> None:
        """Close a transaction; its marker takes an offset."""
        del self.open[transaction]
        self.records = [record for record in self.records if record.offset not in aborted]
        self.end_offset += 1


def _offset(record: Record) -> int:
    return record.offset


@dataclass
class TopicLogs:
    """A topic: its settings and its partitions."""

    topic: Topic
    logs: list[Log]


class Logs:
    """All topics of a broker. `changed` is called after every change that a reader may wait for."""

    def __init__(self, clock: Clock, changed: Callable[[], None]) -> None:
        self.topics: dict[str, TopicLogs] = {}
        self._clock = clock
        self._changed = changed
        self._transactions = itertools.count(1)
        self._writers: dict[str, int] = {}
        self._begun: dict[str, Transaction] = {}

    def topic(self, name: str) -> TopicLogs:
        """A topic; Unavailable when it does not exist."""
        found = self.topics.get(name)
        if found is None:
            raise Unavailable(f"topic {name} does not exist: create the topics first")
        return found

    def partition(self, where: TopicPartition) -> Log:
        """A partition; Unavailable when it does not exist."""
        logs = self.topic(where.topic).logs
        if not 0 <= where.partition < len(logs):
            raise Unavailable(f"topic {where.topic} has {len(logs)} partitions: {where.partition} does not exist")
        return logs[where.partition]

    def read(self, where: TopicPartition, offset: int, limit: int) -> tuple[list[Record], int]:
        """See Log.read. Raises OffsetsGone when the partition does not hold `offset`."""
        log = self.partition(where)
        if not log.begin_offset <= offset <= log.end_offset:
            raise OffsetsGone(where.topic, where.partition, offset, log.begin_offset, log.end_offset)
        return log.read(offset, limit)

    def append(
        self, messages: Sequence[Produce], *, transaction: int | None = None, compressed: bool = False
    ) -> dict[TopicPartition, Written]:
        """Write messages after checking all of them; the limit of `compressed` ones is taken to be met."""
        for message in messages:
            limit = self.topic(message.topic).topic.max_message_bytes
            size = wire_bytes(message)
            if size > limit and not compressed:
                raise MessageTooLarge(f"message of {size} bytes for {message.topic}: the topic's limit is {limit}")
            self.partition(TopicPartition(message.topic, message.partition))
        now_ms = self._clock.now_ms()
        written: dict[TopicPartition, Written] = {}
        for message in messages:
            where = TopicPartition(message.topic, message.partition)
            log = self.partition(where)
            offset = log.end_offset
            trace = trace_of(message.headers)
            log.records.append(Record(*where, offset, message.key, message.value, trace, now_ms))
            log.end_offset += 1
            if transaction is not None:
                log.open.setdefault(transaction, offset)
            written[where] = Written(written[where].first if where in written else offset, offset + 1)
        self._changed()
        return written

    def transaction(self) -> "Transaction":
        """A new transaction."""
        return Transaction(self, next(self._transactions))

    async def claim(self, name: str) -> int:
        """Make a new writer the only one of a transactional id, aborting what the one before had begun; its number."""
        begun = self._begun.pop(name, None)
        if begun is not None:
            await begun.abort()
        self._writers[name] = self._writers.get(name, 0) + 1
        return self._writers[name]

    def begin(self, name: str, writer: int) -> "Transaction":
        """A new transaction of a transactional id. Raises Fenced when `writer` is not its newest."""
        if self._writers[name] != writer:
            raise Fenced(f"another process writes as {name} now: this one's transaction was not written")
        begun = self._begun[name] = self.transaction()
        return begun

    def end_transaction(self, transaction: int, aborted: frozenset[tuple[TopicPartition, int]]) -> None:
        """Close a transaction in every partition it wrote to."""
        for name, topic in self.topics.items():
            for number, log in enumerate(topic.logs):
                if transaction in log.open:
                    where = TopicPartition(name, number)
                    log.end_transaction(transaction, frozenset(offset for place, offset in aborted if place == where))
        self._changed()


class Transaction:
    """Messages that readers get when it is committed, and never when it is aborted, as Kafka's transactional producers
    write them.
    """

    def __init__(self, logs: Logs, number: int) -> None:
        self._logs = logs
        self._number = number
        self._written: set[tuple[TopicPartition, int]] = set()

    async def send(self, *messages: Produce) -> None:
        """Write messages; nobody reads them yet, nor what comes behind them."""
        for where, written in self._logs.append(messages, transaction=self._number).items():
            self._written |= {(where, offset) for offset in range(written.first, written.end)}

    async def commit(self) -> None:
        """Let everybody read them."""
        self._logs.end_transaction(self._number, frozenset())

    async def abort(self) -> None:
        """Nobody ever reads them."""
        self._logs.end_transaction(self._number, frozenset(self._written))

    async def forget(self) -> None:
        """Leave it open, as a process that is killed does."""
