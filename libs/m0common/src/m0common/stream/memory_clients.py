"""Consumers and producers of the in-memory broker."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from m0common.errors import OffsetsGone, Unavailable
from m0common.stream.append_time import create_time_refused
from m0common.stream.broker import AT_BEGINNING, AT_END, Heard, OnAssigned, OnRevoked, TopicPartition, Written
from m0common.stream.joins import twin_of
from m0common.stream.memory_group import Group, Member
from m0common.stream.records import Produce, Record

if TYPE_CHECKING:
    from m0common.stream.memory import MemoryBroker


class MemoryProducer:
    """See m0common.stream.broker.Producer."""

    def __init__(self, broker: "MemoryBroker") -> None:
        self._broker = broker

    async def start(self) -> None:
        """See Producer."""
        self._broker.check_up()

    async def stop(self) -> None:
        """See Producer."""

    async def send(self, messages: Sequence[Produce]) -> dict[TopicPartition, Written]:
        """See Producer."""
        faults = self._broker.faults
        if faults.send_delay_s:
            await asyncio.sleep(faults.send_delay_s)
        self._broker.check_up()
        if faults.refuse_sends:
            faults.refuse_sends -= 1
            raise Unavailable("the broker refused the connection")
        written = self._broker.append(messages)
        if faults.lose_acks:
            faults.lose_acks -= 1
            raise Unavailable("the connection broke before the answer came")
        return written


class MemoryConsumer:
    """See m0common.stream.broker.Consumer."""

    def __init__(
        self, broker: "MemoryBroker", group: Group | None, member: str | None, append_time: Collection[str]
    ) -> None:
        self._broker = broker
        self._group = group
        self._member_name = member
        self._append_time = append_time
        self._member: Member | None = None
        self._next_offsets: dict[TopicPartition, int] = {}
        self._untouched: set[TopicPartition] = set()
        """Read from the beginning, wherever that is when the first record comes."""
        self._paused: set[TopicPartition] = set()
        self._answers = 0

    async def start(self) -> None:
        """See Consumer."""
        self._broker.check_up()

    async def stop(self) -> None:
        """See Consumer."""
        if self._group is not None and self._member is not None:
            self._group.leave(self._member)
            self._member = None
        self._next_offsets = {}

    async def subscribe(self, topics: Sequence[str], on_assigned: OnAssigned, on_revoked: OnRevoked) -> None:
        """See Consumer."""
        assert self._group is not None, "subscribe needs a consumer with a group"
        self._broker.check_up()
        partitions = {name: len(self._broker.topic(name).logs) for name in topics}
        self._member = self._group.join(self._member_name, partitions, on_assigned, on_revoked)

    async def assign(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See Consumer."""
        self._broker.check_up()
        self._place(offsets)

    def _place(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._next_offsets, self._untouched, self._paused = {}, set(), set()
        for where, offset in offsets.items():
            log = self._broker.logs.partition(where)
            self._next_offsets[where] = {AT_END: log.stable_end, AT_BEGINNING: log.begin_offset}.get(offset, offset)
            if offset == AT_BEGINNING:
                self._untouched.add(where)

    async def getmany(self, max_records: int, timeout_ms: int) -> list[Record]:
        """See Consumer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_ms / 1000
        while True:
            if not self._broker.faults.down and await self._rebalanced():
                self._answers += 1
                records = self._read(max_records)
                if records:
                    return records
            remaining = deadline - loop.time()
            if remaining <= 0:
                return []
            await self._broker.wait(remaining)

    async def _rebalanced(self) -> bool:
        """Take part in a rebalance; whether the partitions are known."""
        if self._group is None or self._member is None:
            return True
        before = self._member.assigned
        starts = await self._group.sync(self._member)
        if starts is not None:
            known = {**self._group.committed, **starts}
            self._place({where: known.get(where, AT_BEGINNING) for where in self._member.assigned})
        elif before and not self._member.assigned:
            self._next_offsets = {}
        return not self._group.rebalancing and self._member.joined

    def _read(self, max_records: int) -> list[Record]:
        records: list[Record] = []
        for where in [where for where in self._next_offsets if where not in self._paused]:
            # read on round robin, so that a busy partition or a broken one does not starve the others
            offset = self._next_offsets.pop(where)
            if where in self._untouched:
                offset = max(offset, self._broker.logs.partition(where).begin_offset)
            self._next_offsets[where] = offset
            try:
                found, position = self._broker.logs.read(where, offset, max_records - len(records))
            except OffsetsGone:
                if not records:
                    raise
                self._next_offsets = {where: offset, **self._next_offsets}  # first in turn at the next poll
                break
            if found and where.topic in self._append_time and not self._broker.topic(where.topic).topic.append_time:
                raise create_time_refused(where.topic)
            self._next_offsets[where] = position
            if found:
                self._untouched.discard(where)
                records += found
            if len(records) == max_records:
                break
        return records

    def position(self, partition: TopicPartition) -> int:
        """See Consumer."""
        return self._next_offsets[partition]

    def reading(self) -> frozenset[TopicPartition]:
        """See Consumer."""
        return frozenset(self._next_offsets.keys() - self._paused)

    def heard(self, partition: TopicPartition) -> Heard | None:
        """See Consumer."""
        return Heard(self._answers, self._broker.logs.partition(partition).stable_end) if self._answers else None

    def contested(self) -> str | None:
        """See Consumer."""
        member = self._member
        return twin_of(member.name) if member is not None and member.displaced else None

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See Consumer."""
        if partition not in self._next_offsets:
            raise KeyError(partition)
        self._next_offsets[partition] = offset
        self._untouched.discard(partition)
        self._broker.wake()

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
        return {where: self._broker.logs.partition(where).begin_offset for where in partitions}

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See Consumer."""
        self._broker.check_up()
        return {where: self._broker.logs.partition(where).stable_end for where in partitions}
