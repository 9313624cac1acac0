"""A world is a broker with what a test may do to it: fresh names, reading a topic whole, breaking it down."""

import asyncio
import itertools
import os
import signal
from contextlib import asynccontextmanager

from m0common.stream.broker import APPEND_TIME
from m0common.stream.follow import read_to_end
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.topics import Topic

LOG_APPEND_TIME = {"message.timestamp.type": "LogAppendTime"}

SESSION_S = 1.5
_names = itertools.count(1)


class World:
    """A broker and fresh names in it."""

    kind = "memory"
    session_s = SESSION_S

    def __init__(self, session_timeout_s: float = SESSION_S) -> None:
        self.append_time = set(APPEND_TIME)
        """Topics whose records must bear append times; a test adds its own."""
        self.broker = self.connect(session_timeout_s)
        self.prefix = ""
        self.again()

    def connect(self, session_timeout_s: float):
        return MemoryBroker(session_timeout_s=session_timeout_s, append_time=self.append_time)

    def again(self) -> "World":
        """The same broker with fresh names."""
        self.prefix = f"t{os.getpid()}-{next(_names)}"
        return self

    def name(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    async def topic(self, name: str, partitions: int = 2, **settings) -> str:
        full = self.name(name)
        await self.broker.create_topics([Topic(full, "key", "group", (), (), **settings)], partitions)
        return full

    async def send(self, *messages: Produce) -> None:
        producer = self.broker.producer()
        await producer.start()
        try:
            await producer.send(messages)
        finally:
            await producer.stop()

    async def send_compressed(self, message: Produce) -> None:
        """Write a message that is larger than its topic's limit, compressed below it."""
        self.broker.append([message], compressed=True)

    async def transaction(self, name: str | None = None):
        """A begun transaction, of a transactional id or of a stranger's: `await send(*messages)`, then `await commit()`
        or `await abort()`.
        """
        logs = self.broker.logs
        return logs.transaction() if name is None else logs.begin(name, await logs.claim(name))

    async def read(self, topic: str) -> list:
        """Everything in a topic."""
        records = [record async for batch in read_to_end(self.broker, topic) for record in batch]
        return sorted(records, key=lambda record: (record.partition, record.offset))

    async def delete(self, topic: str) -> None:
        """Delete a topic."""
        del self.broker.logs.topics[topic]

    def break_down(self) -> None:
        self.broker.faults.down = True

    def repair(self) -> None:
        self.broker.faults.down = False

    def freeze(self) -> None:
        """Let the broker keep its connections and say nothing."""
        self.broker.faults.down = True

    def thaw(self) -> None:
        self.broker.faults.down = False

    def complaints(self) -> str:
        """What the broker itself last complained of, for the message of a test that fails."""
        return ""

    async def end(self) -> None:
        """Repair the broker and leave nothing in it: what all worlds before left would cost each restart time."""


class KafkaWorld(World):
    kind = "kafka"

    def __init__(self, server, **options) -> None:
        self._server = server
        self._options = options
        self._broken = False
        super().__init__()

    @property
    def broker_address(self) -> str:
        return self._server.bootstrap

    def connect(self, session_timeout_s: float):
        from m0common.stream.kafka_options import KafkaOptions
        from m0local.testing import TestBroker

        del session_timeout_s  # among the options
        return TestBroker(KafkaOptions(self._server.bootstrap, "test", **self._options), self.append_time)

    async def send_compressed(self, message: Produce) -> None:
        from aiokafka import AIOKafkaProducer

        producer = AIOKafkaProducer(
            bootstrap_servers=self._server.bootstrap, compression_type="gzip", max_request_size=1 << 24
        )
        await producer.start()
        try:
            await producer.send_and_wait(
                message.topic, message.value, message.key, message.partition, headers=list(message.headers)
            )
        finally:
            await producer.stop()

    async def transaction(self, name: str | None = None):
        return await KafkaTransaction(self._server.bootstrap, name or self.name(f"transaction-{next(_names)}")).begin()

    async def delete(self, topic: str) -> None:
        async with self._admin() as admin:
            await admin.delete_topics([topic])
            while topic in await admin.list_topics():  # noqa: ASYNC110 - nothing tells when it is gone
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _admin(self):
        from aiokafka.admin import AIOKafkaAdminClient

        admin = AIOKafkaAdminClient(bootstrap_servers=self._server.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    def break_down(self) -> None:
        self._mine().kill()
        self._broken = True

    def repair(self) -> None:
        if self._broken:
            self._server.start()
            self._broken = False

    def freeze(self) -> None:
        os.kill(self._mine().pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._server.pid, signal.SIGCONT)

    def _mine(self):
        assert hasattr(self._server, "kill"), "this broker is everybody's: mark the test as an `outage`"
        return self._server

    def complaints(self) -> str:
        lines = self._server.log.read_text(errors="replace").splitlines()
        return "\n".join(line[:300] for line in lines if " WARN " in line or " ERROR " in line)[-3000:]

    async def end(self) -> None:
        self.repair()
        async with self._admin() as admin:
            mine = [topic for topic in await admin.list_topics() if topic.startswith(f"{self.prefix}.")]
            if mine:
                await admin.delete_topics(mine)


class KafkaTransaction:
    """One transaction of a transactional producer."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self._bootstrap, self._name = bootstrap, name
        self._producer = self._new_producer()

    def _new_producer(self):
        from aiokafka import AIOKafkaProducer

        return AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, transactional_id=self._name, transaction_timeout_ms=10_000
        )

    async def begin(self) -> "KafkaTransaction":
        await self._producer.start()
        await self._producer.begin_transaction()
        return self

    async def send(self, *messages: Produce) -> None:
        for message in messages:
            await self._producer.send_and_wait(message.topic, message.value, message.key, message.partition)

    async def commit(self) -> None:
        await self._producer.commit_transaction()
        await self._ended()

    async def abort(self) -> None:
        await self._producer.abort_transaction()
        await self._ended()

    async def forget(self) -> None:
        """Close the connections, as a process that is killed does."""
        await self._producer.stop()

    async def _ended(self) -> None:
        """Wait for the markers: the coordinator answers before they are in the log, and begins nothing with the same
        name before they are."""
        await self._producer.stop()
        another = self._new_producer()
        await another.start()
        await another.stop()
