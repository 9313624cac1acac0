"""A world is a broker with what a test may do to it: fresh names, reading a topic whole, breaking it down."""

import asyncio
import itertools
import os

from m0common.stream.broker import Broker, TopicPartition
from m0common.stream.records import Produce
from m0common.topics import Topic

SESSION_S = 1.5
_names = itertools.count(1)


class World:
    """A broker and fresh names in it."""

    kind = "memory"
    session_s = SESSION_S

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.prefix = ""
        self.again()

    def again(self) -> "World":
        """The same broker with fresh names."""
        self.prefix = f"t{os.getpid()}-{next(_names)}"
        return self

    def name(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    async def topic(self, name: str, partitions: int = 2, **settings) -> str:
        full = self.name(name)
        await self.broker.create_topics([Topic(full, "key", "group", (), (), **settings)], partitions, partitions)
        return full

    async def send(self, *messages: Produce) -> None:
        producer = self.broker.producer()
        await producer.start()
        try:
            await producer.send(messages)
        finally:
            await producer.stop()

    async def read(self, topic: str) -> list:
        """Everything in a topic."""
        consumer = self.broker.consumer()
        await consumer.start()
        try:
            where = [TopicPartition(topic, p) for p in range(await self.broker.partitions(topic))]
            ends = await consumer.end_offsets(where)
            begins = await consumer.begin_offsets(where)
            await consumer.assign(begins)
            records = []
            missing = {w: end for w, end in ends.items() if end > begins[w]}
            deadline = asyncio.get_running_loop().time() + 20
            while missing and asyncio.get_running_loop().time() < deadline:
                for record in await consumer.getmany(1000, 200):
                    records.append(record)
                    place = TopicPartition(record.topic, record.partition)
                    if place in missing and record.offset + 1 >= missing[place]:
                        del missing[place]
            assert not missing, f"could not read to the end of {missing}"
            return sorted(records, key=lambda record: (record.partition, record.offset))
        finally:
            await consumer.stop()

    def break_down(self) -> None:
        self.broker.faults.down = True

    def repair(self) -> None:
        self.broker.faults.down = False


class KafkaWorld(World):
    kind = "kafka"

    def __init__(self, broker, server) -> None:
        super().__init__(broker)
        self._server = server

    def break_down(self) -> None:
        self._server.kill()

    def repair(self) -> None:
        if self._server.process is None:
            self._server.start()
