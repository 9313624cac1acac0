"""A broker whose topics, groups and members bear a prefix, so that tests do not meet on one Kafka."""

import dataclasses
from collections.abc import Mapping, Sequence

from m0common.errors import OffsetsGone
from m0common.stream.broker import TopicPartition, Written
from m0common.stream.records import Produce, Record
from msgspec.structs import replace


class NamedBroker:
    """See m0common.stream.broker.Broker. `inner` has the names with the prefix."""

    def __init__(self, inner, prefix: str) -> None:
        self.inner = inner
        self.prefix = prefix

    def name(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    def place(self, where: TopicPartition) -> TopicPartition:
        return TopicPartition(self.name(where.topic), where.partition)

    def plain(self, where: TopicPartition) -> TopicPartition:
        return TopicPartition(where.topic.removeprefix(f"{self.prefix}."), where.partition)

    def consumer(self, *, group=None, member=None, allow_create_time=False):
        inner = self.inner.consumer(
            group=group and self.name(group),
            member=member and self.name(member),
            allow_create_time=allow_create_time,
        )
        return NamedConsumer(self, inner)

    def producer(self):
        return NamedProducer(self, self.inner.producer())

    def transactions(self, name):
        return NamedTransactions(self, self.inner.transactions(self.name(name)))

    async def create_topics(self, topics, partitions):
        await self.inner.create_topics(
            [dataclasses.replace(topic, name=self.name(topic.name)) for topic in topics], partitions
        )

    async def delete_before(self, offsets):
        await self.inner.delete_before({self.place(where): offset for where, offset in offsets.items()})

    async def partitions(self, topic):
        return await self.inner.partitions(self.name(topic))

    async def cluster(self):
        return await self.inner.cluster()

    async def close(self):
        await self.inner.close()


class NamedProducer:
    def __init__(self, owner: NamedBroker, inner) -> None:
        self._owner, self._inner = owner, inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def send(self, messages: Sequence[Produce]) -> dict[TopicPartition, Written]:
        named = [replace(message, topic=self._owner.name(message.topic)) for message in messages]
        written = await self._inner.send(named)
        return {self._owner.plain(where): found for where, found in written.items()}


class NamedTransactions:
    def __init__(self, owner: NamedBroker, inner) -> None:
        self._owner, self._inner = owner, inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def send(self, messages: Sequence[Produce]) -> None:
        await self._inner.send([replace(message, topic=self._owner.name(message.topic)) for message in messages])


class NamedConsumer:
    def __init__(self, owner: NamedBroker, inner) -> None:
        self._owner, self._inner = owner, inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def subscribe(self, topics, on_assigned, on_revoked):
        async def assigned(partitions):
            return self._named(await on_assigned(frozenset(map(self._owner.plain, partitions))))

        async def revoked(partitions):
            await on_revoked(frozenset(map(self._owner.plain, partitions)))

        await self._inner.subscribe([self._owner.name(topic) for topic in topics], assigned, revoked)

    def _named(self, offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        return {self._owner.place(where): offset for where, offset in offsets.items()}

    async def assign(self, offsets):
        await self._inner.assign(self._named(offsets))

    async def getmany(self, max_records: int, timeout_ms: int) -> list[Record]:
        try:
            records = await self._inner.getmany(max_records, timeout_ms)
        except OffsetsGone as error:
            where = self._owner.plain(TopicPartition(error.topic, error.partition))
            raise OffsetsGone(*where, error.wanted, error.first, error.end) from error
        return [replace(record, topic=self._owner.plain(TopicPartition(record.topic, 0)).topic) for record in records]

    def position(self, partition):
        return self._inner.position(self._owner.place(partition))

    def reading(self):
        return frozenset(self._owner.plain(where) for where in self._inner.reading())

    def contested(self):
        return self._inner.contested()

    def heard(self, partition):
        return self._inner.heard(self._owner.place(partition))

    def seek(self, partition, offset):
        self._inner.seek(self._owner.place(partition), offset)

    def pause(self, partitions):
        self._inner.pause(frozenset(map(self._owner.place, partitions)))

    def resume(self, partitions):
        self._inner.resume(frozenset(map(self._owner.place, partitions)))

    async def commit(self, next_offsets):
        await self._inner.commit(self._named(next_offsets))

    async def begin_offsets(self, partitions):
        found = await self._inner.begin_offsets([self._owner.place(where) for where in partitions])
        return {self._owner.plain(where): offset for where, offset in found.items()}

    async def end_offsets(self, partitions):
        found = await self._inner.end_offsets([self._owner.place(where) for where in partitions])
        return {self._owner.plain(where): offset for where, offset in found.items()}
