"""A broker in memory with Kafka's rules: ordered logs, transactions, groups, static members, committed offsets, limits.

It lives as long as the MemoryBroker object: consumers and producers may come and go. `faults` breaks it on purpose.
"""

import asyncio
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from m0common.clock import Clock, SystemClock
from m0common.errors import SettingsError, Unavailable
from m0common.stream.broker import APPEND_TIME, TopicPartition, Written
from m0common.stream.memory_clients import MemoryConsumer, MemoryProducer
from m0common.stream.memory_group import Group
from m0common.stream.memory_log import Log, Logs, TopicLogs, Transaction
from m0common.stream.memory_transactions import MemoryTransactions
from m0common.stream.partition import refuse_other_count
from m0common.stream.records import Produce, Record
from m0common.topics import Topic


@dataclass
class Faults:
    """What goes wrong from now on."""

    down: bool = False
    """Nothing answers: sends, commits and look-ups raise Unavailable, polls find nothing."""
    refuse_sends: int = 0
    """So many sends fail and write nothing."""
    lose_acks: int = 0
    """So many sends write everything and then fail."""
    die_in_transactions: int = 0
    """So many transactions are written and then neither committed nor aborted, as by a writer that dies."""
    send_delay_s: float = 0.0
    """Every send takes this long."""


class MemoryBroker:
    """See m0common.stream.broker.Broker.

    `append_time` names the topics whose records must bear append times, `clock` gives those times.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        session_timeout_s: float = 3.0,
        append_time: Collection[str] = APPEND_TIME,
    ) -> None:
        self._session_timeout_s = session_timeout_s
        self._append_time = append_time
        self._groups: dict[str, Group] = {}
        self._waiters: set[asyncio.Future[None]] = set()
        self.logs = Logs(clock or SystemClock(), self.wake)
        self.faults = Faults()
        self.cluster_id = secrets.token_hex(8)

    def consumer(
        self, *, group: str | None = None, member: str | None = None, allow_create_time: bool = False
    ) -> MemoryConsumer:
        """See Broker."""
        append_time = frozenset() if allow_create_time else self._append_time
        if group is None:
            return MemoryConsumer(self, None, None, append_time)
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = Group(group, self._session_timeout_s, self.wake)
        return MemoryConsumer(self, found, member, append_time)

    async def cluster(self) -> str:
        """See Broker."""
        self.check_up()
        return self.cluster_id

    def producer(self) -> MemoryProducer:
        """See Broker."""
        return MemoryProducer(self)

    def transactions(self, name: str) -> MemoryTransactions:
        """See Broker."""
        return MemoryTransactions(self, name)

    def transaction(self) -> Transaction:
        """A transaction that a test ends when it likes, as strangers do."""
        return self.logs.transaction()

    async def create_topics(self, topics: Sequence[Topic], partitions: int) -> None:
        """What `m0 topics apply` does: create what is missing and set the catalogue's settings of what exists.

        `partitions` is the deployment's count. Raises SettingsError when a topic has another number.
        """
        self.check_up()
        known = self.logs.topics
        for topic in topics:
            if topic.name in known:
                refuse_other_count(topic, len(known[topic.name].logs), partitions)
        for topic in topics:
            if topic.name in known:
                known[topic.name].topic = topic
            else:
                known[topic.name] = TopicLogs(topic, [Log() for _ in range(topic.partitions(partitions))])

    async def delete_before(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See Broker."""
        self.check_up()
        for where in offsets:
            self.logs.partition(where)
            if self.topic(where.topic).topic.compacted:
                raise SettingsError(f"topic {where.topic} is compacted: it has no prefix to delete")
        for where, before in offsets.items():
            self.logs.partition(where).truncate(before)

    async def watermarks(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See Broker."""
        self.check_up()
        return {where: self.logs.partition(where).end_offset for where in partitions}

    async def partitions(self, topic: str) -> int:
        """See Broker."""
        self.check_up()
        return len(self.topic(topic).logs)

    async def close(self) -> None:
        """See Broker."""

    def topic(self, name: str) -> TopicLogs:
        """A topic; Unavailable when it does not exist."""
        return self.logs.topic(name)

    def append(self, messages: Sequence[Produce], *, compressed: bool = False) -> dict[TopicPartition, Written]:
        """Write messages; `compressed` ones pass the limit whatever their size, as Kafka's counts what it stores."""
        return self.logs.append(messages, compressed=compressed)

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """The offsets a group has committed."""
        return dict(self._groups[group].committed) if group in self._groups else {}

    def log(self, topic: str, partition: int) -> list[Record]:
        """Everything that can be read in one partition, for tests to look at."""
        log = self.topic(topic).logs[partition]
        return log.read(log.begin_offset, len(log.records))[0]

    def compact(self, topic: str) -> None:
        """Keep only the last record of every key, and none without a value, as Kafka does in its own time."""
        for log in self.topic(topic).logs:
            last = {record.key: record.offset for record in log.records}
            log.records = [record for record in log.records if last[record.key] == record.offset and record.value]

    def truncate(self, topic: str, partition: int, before: int) -> None:
        """Delete what is older than offset `before`, as retention does."""
        self.topic(topic).logs[partition].truncate(before)

    def check_up(self) -> None:
        """Raise Unavailable while the broker is down."""
        if self.faults.down:
            raise Unavailable("the broker does not answer")

    def wake(self) -> None:
        """Something changed: whoever waits looks again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, timeout_s: float) -> None:
        """Wait for `wake`, at most `timeout_s`."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait([waiter], timeout=timeout_s)
        finally:
            self._waiters.discard(waiter)
