"""The archive while jobs lead: kept up to date, gone on with by whoever leads next, and said when it is not."""

import asyncio
import contextlib

from jobs_house import FIRST
from jobs_running import running, until
from m0_jobs.archiver import MARGIN_MS, late_ms
from m0archive.errors import NoArchive
from m0archive.incarnation import newest
from m0archive.objects import memory, opened
from m0archive.verify import verify
from m0common.canonical import PredictionLeaf
from m0common.clock import SystemClock
from m0common.errors import Unavailable
from m0common.http import Status
from m0common.messages import BundlePiece, encode
from m0common.settings import Archive, Catalog
from m0common.stream.broker import TopicPartition
from m0common.stream.memory import MemoryBroker
from m0common.stream.records import Produce
from m0common.topics import BUNDLES, RAW, TOPICS

WHERE = TopicPartition(RAW.name, 0)


async def log(count=3):
    broker = MemoryBroker()
    await broker.create_topics(TOPICS, 1)
    await say(broker, 0, count)
    return broker


async def say(broker, first, end):
    await broker.producer().send([Produce(RAW.name, 0, b"k", b"%d" % n) for n in range(first, end)])


async def archived(store):
    try:
        return (await newest(store)).end(WHERE)
    except NoArchive:
        return 0


async def until_archived(store, end):
    async with asyncio.timeout(60):
        while await archived(store) < end:  # noqa: ASYNC110 - what jobs do is watched
            await asyncio.sleep(0.02)


async def values(store):
    incarnation, at, found = await newest(store), 0, []
    while at < incarnation.end(WHERE):
        stretch = await incarnation.read(WHERE, at)
        found += [record.value for record in stretch.records]
        at = stretch.end
    return found


async def test_the_leader_archives_and_its_successor_goes_on(dsn, house, tmp_path):
    broker, store = await log(), opened(Archive(url=f"file://{tmp_path}/archive"))
    first, second = Status("jobs"), Status("jobs")
    async with running(dsn, house, broker, first, store):
        await until_archived(store, 3)
        await say(broker, 3, 5)
        await until_archived(store, 5)
        standby = contextlib.AsyncExitStack()
        await standby.enter_async_context(running(dsn, house, broker, second, store))
        assert first.notes["archive"]() is None
    async with standby:
        await say(broker, 5, 9)
        await until_archived(store, 9)
    assert await values(store) == [b"%d" % n for n in range(9)]
    done = await verify(store)
    assert (done.faults, done.lacks) == ((), 0)
    assert "archive" not in first.notes


async def test_a_body_leaves_when_its_epoch_is_announced(dsn, house):
    broker, store = await log(), memory()
    window_end_ms = SystemClock().now_ms() - 1000
    leaf = PredictionLeaf(b"k" * 32, FIRST, window_end_ms, 1, (), 0, 1 << 7, bytes(32), bytes(32)).encode()
    piece = encode(BundlePiece("sports", (leaf,), ("M1",), ("m",)))
    await broker.producer().send([Produce(BUNDLES.name, 0, b"sports", piece)])
    await house.index_epoch(FIRST, "finalized", b"h" * 32)
    where = TopicPartition(BUNDLES.name, 0)
    async with running(dsn, house, broker, Status("jobs"), store):
        await until_archived(store, 3)
        assert (await newest(store)).end(where) == 0
        await house.execute("UPDATE epochs SET published = true, window_end_ms = %s", window_end_ms)
        async with asyncio.timeout(60):
            while (await newest(store)).end(where) < 1:  # noqa: ASYNC110 - what jobs do is watched
                await asyncio.sleep(0.02)


async def test_an_archive_that_fails_makes_the_leader_degraded_and_ends_no_other_job(dsn, house):
    class Away:
        def __init__(self):
            self.inner, self.away = memory(), True
            self.address, self.list = "file:///away", self.inner.list

        async def _check(self):
            if self.away:
                raise Unavailable("archive file:///away: no room")

        async def bare(self):
            await self._check()
            return await self.inner.bare()

        async def get(self, name):
            await self._check()
            return await self.inner.get(name)

        async def create(self, name, value):
            await self._check()
            return await self.inner.create(name, value)

        async def put(self, name, value):
            await self._check()
            await self.inner.put(name, value)

    broker, store, status = await log(), Away(), Status("jobs")
    async with running(dsn, house, broker, status, store):
        await until(lambda: "archive" in status.notes and status.notes["archive"]() is not None)
        assert (
            "no room: nothing is archived, and the lanes' state is not trimmed meanwhile" in status.notes["archive"]()
        )
        await until(lambda: status.ready["outcomes"]() is None)
        assert status.respond(status.ready).status_code == 200
        store.away = False
        await until_archived(store.inner, 3)
        await until(lambda: status.notes["archive"]() is None)


async def test_what_kafka_forgot_before_it_was_archived_is_said(dsn, house):
    broker, store, status = await log(), memory(), Status("jobs")
    async with running(dsn, house, broker, status, store):
        await until_archived(store, 3)
    await say(broker, 3, 9)
    broker.truncate(RAW.name, 0, 5)
    async with running(dsn, house, broker, status, store):
        await until_archived(store, 9)
        await until(lambda: status.notes["archive"]() is not None)
        assert "it lacks 2 offsets that Kafka had forgotten" in status.notes["archive"]()


def test_an_epoch_is_a_secret_until_the_last_deadline_of_any_catalog():
    catalogs = {
        "a": Catalog(lateness_ms=1, commit_ms=1000, reveal_ms=2000),
        "b": Catalog(lateness_ms=0, commit_ms=5000),
    }
    assert late_ms(catalogs) == 45_000 + MARGIN_MS
    assert late_ms({}) == 81_000 + MARGIN_MS
