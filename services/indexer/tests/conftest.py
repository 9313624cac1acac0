"""A database of a real Postgres, an empty schema per test, and an indexer on a chain in memory."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for memory_chain
sys.path.insert(0, str(Path(__file__).parents[3] / "libs/m0index/tests"))  # for index_scene

import pytest
from index_scene import Said, Scene
from m0_indexer.consume import BundleStore
from m0_indexer.follow import ProgramFollower
from m0_indexer.publish import Publisher
from m0chain.idl import ORACLE, REGISTRY
from m0common.clock import ManualClock
from m0common.messages import encode
from m0common.settings import Postgres
from m0common.store import postgres
from m0common.stream.memory import MemoryBroker
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce
from m0common.topics import TOPICS
from m0local.testing import empty_index
from memory_chain import MemoryChain


@pytest.fixture(scope="session")
def dsn(databases):
    return databases.index()


@pytest.fixture
async def pool(dsn):
    empty_index(dsn)
    async with postgres.opened(Postgres(dsn=dsn), name="test") as opened:
        yield opened


@pytest.fixture
async def broker():
    made = MemoryBroker()
    await made.create_topics(TOPICS, 2)
    return made


class Bench:
    """The indexer's parts, driven by hand."""

    def __init__(self, pool, broker):
        self.scene = Scene(MemoryChain())
        self.chain = self.scene.chain
        self.pool = pool
        self.broker = broker
        self.clock = ManualClock()
        self.woken = 0
        self.followers = [self._follower(REGISTRY), self._follower(ORACLE)]
        self.publisher = Publisher(pool, broker, self.clock, asyncio.Event())
        self.bundles = BundleStore(self.clock, self._wake)

    def _wake(self):
        self.woken += 1

    def _follower(self, name):
        program = self.scene.programs.registry if name == REGISTRY else self.scene.programs.oracle
        return ProgramFollower(name, program, self.scene.programs, self.chain, self.pool, self.clock, self._wake)

    async def index(self):
        return [await follower.once() for follower in self.followers]

    async def publish(self):
        producer = self.broker.producer()
        await producer.start()
        return await self.publisher.once(producer)

    async def store(self, bundle: Said):
        for piece in bundle.pieces:
            await self.add_piece(piece)
        await self.add_header(encode(bundle.message))

    async def add_piece(self, value: bytes):
        async with postgres.transaction(self.pool) as connection:
            stored = await self.bundles.add_piece(connection, value)
        self.bundles.tell(stored)

    async def add_header(self, value: bytes):
        async with postgres.transaction(self.pool) as connection:
            stored = await self.bundles.add_header(connection, value)
        self.bundles.tell(stored)

    async def produce(self, topic, key: bytes, value: bytes):
        producer = self.broker.producer()
        await producer.start()
        await producer.send([Produce(topic, partition_for(key, 2), key, value)])

    async def rows(self, query, *args):
        async with postgres.transaction(self.pool) as connection:
            return await (await connection.execute(query, args)).fetchall()

    def sent(self, topic, kind, partitions=2):
        import msgspec

        decoder = msgspec.msgpack.Decoder(kind)
        logs = [record for p in range(partitions) for record in self.broker.log(topic, p)]
        return [decoder.decode(record.value) for record in logs]


@pytest.fixture
def bench(pool, broker):
    return Bench(pool, broker)
