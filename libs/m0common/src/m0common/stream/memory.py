"""A broker in memory with Kafka's rules: ordered logs, groups, static members, committed offsets, size limits.

It lives as long as the MemoryBroker object: consumers and producers may come and go. `faults` breaks it on purpose.
"""

import asyncio
import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from m0common.clock import Clock, SystemClock
from m0common.errors import MessageTooLarge, Unavailable
from m0common.stream.broker import OnAssigned, OnRevoked, TopicPartition
from m0common.stream.memory_group import Group, Member
from m0common.stream.partition import wire_bytes
from m0common.stream.records import Produce, Record
from m0common.topics import Topic

AT_END = -1
AT_BEGINNING = -2


@dataclass
class Faults:
    """What goes wrong from now on."""

    down: bool = False
    """Nothing answers: sends, commits and look-ups raise Unavailable, polls find nothing."""
    refuse_sends: int = 0
    """So many sends fail and write nothing."""
    lose_acks: int = 0
    """So many sends write everything and then fail."""
    send_delay_s: float = 0.0
    """Every send takes this long."""


@dataclass
class Log:
    """One partition. Offsets may have gaps after compaction."""

    records: list[Record] = field(default_factory=list)
    begin_offset: int = 0
    end_offset: int = 0

    def read(self, offset: int, limit: int) -> list[Record]:
        """Up to `limit` records from `offset` on."""
        start = bisect.bisect_left(self.records, offset, key=lambda record: record.offset)
        return self.records[start : start + limit]


@dataclass
class TopicLogs:
    """A topic: its limit and its partitions."""

    topic: Topic
    logs: list[Log]


class MemoryBroker:
    """See m0common.stream.broker.Broker."""

    def __init__(self, clock: Clock | None = None, session_timeout_s: float = 3.0) -> None:
        self._clock = clock or SystemClock()
        self._session_timeout_s = session_timeout_s
        self._topics: dict[str, TopicLogs] = {}
        self._groups: dict[str, Group] = {}
        self._waiters: set[asyncio.Future[None]] = set()
        self.faults = Faults()

    def consumer(self, *, group: str | None = None, member: str | None = None) -> "MemoryConsumer":
        """See Broker."""
        if group is None:
            return MemoryConsumer(self, None, None)
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = Group(group, self._session_timeout_s, self.wake)
        return MemoryConsumer(self, found, member)

    def producer(self) -> "MemoryProducer":
        """See Broker."""
        return MemoryProducer(self)

    async def create_topics(self, topics: Sequence[Topic], group_partitions: int, catalog_partitions: int) -> None:
        """See Broker."""
        self.check_up()
        for topic in topics:
            if topic.name in self._topics:
                self._topics[topic.name].topic = topic
            else:
                count = topic.partitions(group_partitions, catalog_partitions)
                self._topics[topic.name] = TopicLogs(topic, [Log() for _ in range(count)])

    async def partitions(self, topic: str) -> int:
        """See Broker."""
        self.check_up()
        return len(self.topic(topic).logs)

    async def close(self) -> None:
        """See Broker."""

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """The offsets a group has committed."""
        return dict(self._groups[group].committed) if group in self._groups else {}

    def log(self, topic: str, partition: int) -> list[Record]:
        """Everything in one partition, for tests to look at."""
        return list(self.topic(topic).logs[partition].records)

    def compact(self, topic: str) -> None:
        """Keep only the last record of every key, as Kafka does in its own time."""
        for log in self.topic(topic).logs:
            last = {record.key: record.offset for record in log.records}
            log.records = [record for record in log.records if last[record.key] == record.offset]

    def truncate(self, topic: str, partition: int, before: int) -> None:
        """Delete what is older than offset `before`, as retention does."""
        log = self.topic(topic).logs[partition]
        log.records = [record for record in log.records if record.offset >= before]
        log.begin_offset = before

    def topic(self, name: str) -> TopicLogs:
        """A topic; Unavailable when it does not exist."""
        found = self._topics.get(name)
        if found is None:
            raise Unavailable(f"topic {name} does not exist: create the topics first")
        return found

    def partition(self, where: TopicPartition) -> Log:
        """A partition; Unavailable when it does not exist."""
        logs = self.topic(where.topic).logs
        if not 0 <= where.partition < len(logs):
            raise Unavailable(f"topic {where.topic} has {len(logs)} partitions: {where.partition} does not exist")
        return logs[where.partition]

    def append(self, messages: Sequence[Produce]) -> None:
        """Write messages after checking all of them."""
        for message in messages:
            limit = self.topic(message.topic).topic.max_message_bytes
            size = wire_bytes(message)
            if size > limit:
                raise MessageTooLarge(f"message of {size} bytes for {message.topic}: the topic's limit is {limit}")
        now_ms = self._clock.now_ms()
        for message in messages:
            log = self.partition(TopicPartition(message.topic, message.partition))
            log.records.append(
                Record(
                    message.topic,
                    message.partition,
                    log.end_offset,
                    message.key,
                    message.value,
                    message.headers,
                    now_ms,
                ),
            )
            log.end_offset += 1
        self.wake()

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


class MemoryProducer:
    """See m0common.stream.broker.Producer."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def start(self) -> None:
        """See Producer."""
        self._broker.check_up()

    async def stop(self) -> None:
        """See Producer."""

    async def send(self, messages: Sequence[Produce]) -> None:
        """See Producer."""
        faults = self._broker.faults
        if faults.send_delay_s:
            await asyncio.sleep(faults.send_delay_s)
        self._broker.check_up()
        if faults.refuse_sends:
            faults.refuse_sends -= 1
            raise Unavailable("the broker refused the connection")
        self._broker.append(messages)
        if faults.lose_acks:
            faults.lose_acks -= 1
            raise Unavailable("the connection broke before the answer came")


class MemoryConsumer:
    """See m0common.stream.broker.Consumer."""

    def __init__(self, broker: MemoryBroker, group: Group | None, member: str | None) -> None:
        self._broker = broker
        self._group = group
        self._member_name = member
        self._member: Member | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    async def start(self) -> None:
        """See Consumer."""
        self._broker.check_up()

    async def stop(self) -> None:
        """See Consumer."""
        if self._group is not None and self._member is not None:
            self._group.leave(self._member)
            self._member = None
        self._positions = {}

    async def subscribe(self, topics: Sequence[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """See Consumer."""
        assert self._group is not None, "subscribe needs a consumer with a group"
        self._broker.check_up()
        partitions = {name: len(self._broker.topic(name).logs) for name in topics}
        self._member = self._group.join(self._member_name, partitions, on_assigned, on_revoked)

    async def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """See Consumer."""
        self._broker.check_up()
        for where, offset in positions.items():
            log = self._broker.partition(where)
            self._positions[where] = {AT_END: log.end_offset, AT_BEGINNING: log.begin_offset}.get(offset, offset)
        self._positions = {where: self._positions[where] for where in positions}
        self._paused = set()

    async def getmany(self, max_records: int, timeout_ms: int) -> list[Record]:
        """See Consumer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_ms / 1000
        while True:
            if not self._broker.faults.down and await self._settled():
                records = self._read(max_records)
                if records:
                    return records
            remaining = deadline - loop.time()
            if remaining <= 0:
                return []
            await self._broker.wait(remaining)

    async def _settled(self) -> bool:
        """Take part in a rebalance; whether the partitions are known."""
        if self._group is None or self._member is None:
            return True
        before = self._member.assigned
        starts = await self._group.sync(self._member)
        if starts is not None:
            self._paused = set()
            self._positions = {where: self._start(where, starts) for where in self._member.assigned}
        elif before and not self._member.assigned:
            self._positions = {}
        return not self._group.rebalancing and self._member.settled

    def _start(self, where: TopicPartition, starts: Mapping[TopicPartition, int]) -> int:
        assert self._group is not None
        begin = self._broker.partition(where).begin_offset
        return max(begin, starts.get(where, self._group.committed.get(where, 0)))

    def _read(self, max_records: int) -> list[Record]:
        records: list[Record] = []
        for where in [where for where in self._positions if where not in self._paused]:
            log = self._broker.partition(where)
            self._positions[where] = max(self._positions[where], log.begin_offset)
            found = log.read(self._positions[where], max_records - len(records))
            if found:
                # read on round robin, so that a busy partition does not starve the others
                del self._positions[where]
                self._positions[where] = found[-1].offset + 1
                records += found
            if len(records) == max_records:
                break
        return records

    def pause(self, partitions: frozenset[TopicPartition]) -> None:
        """See Consumer."""
        self._paused |= partitions

    def resume(self, partitions: frozenset[TopicPartition]) -> None:
        """See Consumer."""
        self._paused -= partitions
        self._broker.wake()

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """See Consumer."""
        assert self._group is not None, "commit needs a consumer with a group"
        self._broker.check_up()
        if self._member is not None:
            self._group.commit(self._member, next_offsets)

    async def begin_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See Consumer."""
        self._broker.check_up()
        return {where: self._broker.partition(where).begin_offset for where in partitions}

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See Consumer."""
        self._broker.check_up()
        return {where: self._broker.partition(where).end_offset for where in partitions}
