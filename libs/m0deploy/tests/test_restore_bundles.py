"""Leaves that Kafka has forgotten come back from the archived log, and what does not hold stays out."""

import msgspec
import psycopg
import pytest
from index_scene import Scene
from m0archive.collect import Collector
from m0archive.objects import memory
from m0common.clock import ManualClock
from m0common.deployment import Deployment
from m0common.leases.port import Lease
from m0common.messages import encode
from m0common.settings import Postgres
from m0common.stream.broker import TopicPartition
from m0common.stream.memory import MemoryBroker
from m0common.stream.partition import partition_for
from m0common.stream.records import Produce
from m0common.topics import BUNDLES, HEADERS, TOPICS
from m0deploy.restore_bundles import restore_bundles
from m0local.testing import empty_index

pytestmark = pytest.mark.postgres
PARTITIONS = 2
DEPLOYMENT = Deployment(b"g" * 32, b"c" * 32, PARTITIONS)
MARKETS = {"A": (10**9, 0), "B": (), "C": (4 * 10**8, 6 * 10**8)}


@pytest.fixture(scope="module")
def dsn(databases):
    return databases.index()


@pytest.fixture
def settings(dsn):
    empty_index(dsn)
    return Postgres(dsn=dsn)


class Log:
    """A log of headers and pieces on Kafka clusters in memory, each archived behind the one before."""

    def __init__(self):
        self.store, self.clock, self.fence = memory(), ManualClock(), 0
        self.scene, self.broker = Scene(), None

    async def begin(self):
        self.broker = MemoryBroker(self.clock)
        await self.broker.create_topics(TOPICS, PARTITIONS)

    async def write(self, topic, catalog, *values):
        key = catalog.encode()
        await self.broker.producer().send([Produce(topic.name, partition_for(key, PARTITIONS), key, v) for v in values])

    async def say(self, epoch_id, catalog="sports", *, header=None):
        bundle = self.scene.bundle(epoch_id, MARKETS, catalog, piece_leaves=1)
        await self.write(BUNDLES, catalog, *bundle.pieces)
        await self.write(HEADERS, catalog, header or encode(bundle.message))
        return bundle

    async def archive(self):
        async def nothing():
            return {}

        self.fence += 1
        made = Collector(self.broker, self.store, Lease("jobs", "w", self.fence), self.clock, nothing, -60_000)
        await made.open(DEPLOYMENT)
        while (await made.round()).more:
            pass
        await made.close()

    async def put_back(self, settings):
        return await restore_bundles(self.store, DEPLOYMENT, settings, self.clock, lambda _: None)


def leaves(settings):
    """Of every stored leaf: epoch, catalog and bytes."""
    with psycopg.connect(settings.dsn.reveal()) as connection:
        found = connection.execute("SELECT epoch_id, catalog, leaf FROM leaves ORDER BY 1, 2, leaf_index").fetchall()
    return [(epoch_id, catalog, bytes(leaf)) for epoch_id, catalog, leaf in found]


def of(*said):
    return [(each.epoch_id, each.catalog, leaf) for each in said for leaf in each.leaves]


async def test_what_kafka_has_forgotten_comes_back_from_every_log_in_the_archive(settings):
    log = Log()
    await log.begin()
    said = [await log.say(1, "crypto"), await log.say(1)]
    await log.archive()
    said += [await log.say(2)]
    await log.archive()
    await log.begin()
    said += [await log.say(3, "crypto"), await log.say(3)]
    await log.archive()

    done = await log.put_back(settings)
    assert (done.bundles, done.leaves, done.refused) == (5, 15, 0)
    assert leaves(settings) == of(*said)
    again = await log.put_back(settings)
    assert (again.bundles, again.leaves, again.refused) == (0, 0, 0)
    with psycopg.connect(settings.dsn.reveal()) as connection:
        connection.execute("TRUNCATE pieces")
        connection.execute("DELETE FROM bundles WHERE epoch_id = 2")
    assert (await log.put_back(settings)).bundles == 1
    assert leaves(settings) == of(*said)
    with psycopg.connect(settings.dsn.reveal()) as connection:
        (pieces,) = connection.execute("SELECT count(*) FROM pieces").fetchone()
        (waiting,) = connection.execute("SELECT count(*) FROM waiting_headers").fetchone()
    assert (pieces, waiting) == (3, 0), "pieces that nobody waits for are left in the archive"


async def test_a_header_with_another_root_than_its_leaves_puts_nothing_in(settings):
    log = Log()
    await log.begin()
    bad = await log.say(1)
    other = log.scene.bundle(1, MARKETS | {"A": (0, 10**9)}, piece_leaves=1).message
    await log.write(HEADERS, "sports", encode(msgspec.structs.replace(other, pieces=bad.message.pieces)), b"?")
    good = await log.say(2)
    await log.archive()
    done = await log.put_back(settings)
    assert (done.bundles, done.refused) == (2, 2)
    assert leaves(settings) == of(bad, good)


async def test_what_the_archive_lacks_is_passed_over(settings):
    log = Log()
    await log.begin()
    first = await log.say(1)
    await log.archive()
    await log.say(2)
    place = partition_for(b"sports", PARTITIONS)
    await log.broker.delete_before(
        {TopicPartition(topic.name, place): len(log.broker.log(topic.name, place)) for topic in (HEADERS, BUNDLES)}
    )
    last = await log.say(3)
    await log.archive()
    assert (await log.put_back(settings)).bundles == 2
    assert leaves(settings) == of(first, last)
