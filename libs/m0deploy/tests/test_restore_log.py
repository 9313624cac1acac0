"""A log of a real Kafka, archived, and written anew into another: record by record, and what is refused."""

import asyncio
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from m0archive import objects, pieces
from m0archive.collect import TOPICS as ARCHIVED
from m0archive.collect import Collector
from m0archive.errors import Damaged, NoArchive
from m0common.clock import SystemClock
from m0common.deployment import Deployment
from m0common.errors import SettingsError, Unavailable
from m0common.leases.port import Lease
from m0common.settings import Kafka
from m0common.stream.broker import TopicPartition
from m0common.stream.follow import read_to_end
from m0common.stream.kafka_bounds import bounds
from m0common.stream.kafka_exact import ExactWriter
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.records import Produce
from m0common.topics import CURSORS, HEADERS, NORMALIZED, OUTCOMES, RAW
from m0common.topics import TOPICS as CATALOGUE
from m0deploy.restore_log import restore
from m0kafka.confluent import ConfluentCluster
from m0local.testing import broker_of, kafka_server, make_topics, write

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]
PARTITIONS = 2
DEPLOYMENT = Deployment(b"g" * 32, b"c" * 32, PARTITIONS)
TRACE = (("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),)
RAW_PLACES = [TopicPartition(RAW.name, number) for number in range(PARTITIONS)]
PLACES = [TopicPartition(t.name, n) for t in CATALOGUE for n in range(t.partitions(PARTITIONS)) if t.name in ARCHIVED]


def said(*numbers, topic=RAW, partition=0):
    return [Produce(topic.name, partition, b"k%d" % n, b"value %d" % n, TRACE if n % 2 else ()) for n in numbers]


async def fill(broker, store, fence):
    async def nothing():
        return {}

    lease = Lease("jobs", f"holder-{fence}", fence)
    collector = Collector(broker, store, lease, SystemClock(), nothing, -60_000, round_bytes=2000)
    try:
        await collector.open(DEPLOYMENT)
        while (await collector.round()).more:
            pass
    finally:
        await collector.close()


async def abort(options, messages):
    """A transaction that comes to nothing."""
    producer = AIOKafkaProducer(**options.connection(), transactional_id="aborts", transaction_timeout_ms=5000)
    await producer.start()
    await producer.begin_transaction()
    for message in messages:
        await producer.send_and_wait(message.topic, message.value, message.key, message.partition)
    await producer.abort_transaction()
    await producer.stop()


async def live(options, store):
    """A log with transactions, aborted ones, a beginning that was deleted, and a stretch that was lost; what it has."""
    async with broker_of(options) as broker:
        writer = broker.transactions("m0-ingest-test")
        await writer.start()
        for n in range(0, 40, 4):
            raw = [*said(n, n + 1), *said(n + 2, partition=1)]
            cursor = Produce(CURSORS.name, 0, b"one", b"%d" % n)
            await writer.send([*raw, cursor, *said(n, topic=OUTCOMES, partition=1)])
            if n % 12 == 0:
                await abort(options, said(n, n + 1, n + 2))
        await write(broker, said(*range(100), topic=HEADERS, partition=1))
        await broker.delete_before({RAW_PLACES[1]: 7, TopicPartition(HEADERS.name, 1): 90})
        await fill(broker, store, 1)
        await writer.send(said(*range(1000, 1020), partition=1))
        await broker.delete_before({RAW_PLACES[1]: (await bounds(options, RAW_PLACES))[RAW_PLACES[1]].end - 5})
        await writer.send([Produce(CURSORS.name, 0, b"one", b""), *said(5000, partition=1)])
        await fill(broker, store, 2)
        await writer.stop()
        return await held(options)


async def held(options):
    """Every record of the archived topics, and where partitions end."""
    async with broker_of(options) as broker:
        read = {t: [r async for b in read_to_end(broker, t, allow_create_time=True) for r in b] for t in ARCHIVED}
    ends = {where: each.end for where, each in (await bounds(options, PLACES)).items()}
    return {topic: sorted(records) for topic, records in read.items()}, ends


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """An archive's objects, what the log it is of had, and the cluster."""
    folder = tmp_path_factory.mktemp("archive")
    store = objects.opened(archive_in(folder))
    with kafka_server(tmp_path_factory.mktemp("lost")) as server:
        options = KafkaOptions(server.bootstrap)
        make_topics(options, CATALOGUE, PARTITIONS)
        had = asyncio.run(live(options, store))
        refused = asyncio.run(refusal(store, settings_of(server)))
    assert "is the one that this log was archived from" in refused
    return folder, had


def archive_in(folder):
    from m0common.settings import Archive

    return Archive(url=folder.as_uri())


def settings_of(server, **more):
    return Kafka(bootstrap=server.bootstrap, partitions=PARTITIONS, **more)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with kafka_server(tmp_path_factory.mktemp("new")) as made:
        yield made


def there(admin, names):
    """Which of these topics a cluster has; one that goes while it is looked at is there still."""
    try:
        return admin.topics(names)
    except Unavailable:
        return names


@pytest.fixture
def empty(server):
    """Settings of a cluster that has the topics and nothing in them."""
    options = KafkaOptions(server.bootstrap, request_timeout_ms=60_000)
    admin = ConfluentCluster(options)
    names = [topic.name for topic in CATALOGUE]
    if old := there(admin, names):
        for gone in admin._admin.delete_topics(list(old)).values():
            gone.result(60)
        while there(admin, names):
            pass
    make_topics(options, CATALOGUE, PARTITIONS)
    return settings_of(server)


async def restored(store, settings, cluster=None, deployment=DEPLOYMENT):
    return await restore(store, deployment, settings, SystemClock(), cluster, print)


async def refusal(store, settings, deployment=DEPLOYMENT):
    with pytest.raises(SettingsError) as refused:
        await restored(store, settings, deployment=deployment)
    return str(refused.value)


async def test_every_record_comes_back_at_its_offset_with_its_time(recorded, empty):
    folder, (records, ends) = recorded
    done = await restored(objects.opened(archive_in(folder)), empty)
    options = KafkaOptions.of(empty, "test")
    now, now_ends = await held(options)
    assert now_ends == ends
    for topic in ARCHIVED:
        # what was lost before it was archived comes back as nothing, and so does what stood before that
        lacking = [record for record in now[topic] if record not in records[topic]]
        assert [r for r in records[topic] if r not in now[topic]] == []
        assert all(record.topic == RAW.name and record.partition == 1 for record in lacking)
    assert (await bounds(options, RAW_PLACES))[RAW_PLACES[1]].begin == 7
    assert (await bounds(options, PLACES))[TopicPartition(HEADERS.name, 1)].begin == 90
    assert done.restored_ends == tuple(ends[where] for where in RAW_PLACES)
    found = (await asyncio.to_thread(ConfluentCluster, options)).topics([RAW.name])[RAW.name]
    assert found.settings["message.timestamp.type"] == "LogAppendTime"


async def test_restored_raw_is_read_below_its_end_alone_and_above_it_the_broker_stamps(recorded, empty):
    folder, _ = recorded
    done = await restored(objects.opened(archive_in(folder)), empty)
    plain = KafkaOptions.of(empty, "test")
    told = KafkaOptions.of(Kafka(**empty.model_dump() | {"restored_ends": done.restored_ends}), "test")
    async with broker_of(told) as broker:
        await write(broker, said(7))
        read = [record async for batch in read_to_end(broker, RAW.name, [0]) for record in batch]
    newest = read[-1]
    assert (newest.offset, newest.value) == (done.restored_ends[0], b"value 7")
    assert newest.append_ms > read[-2].append_ms
    for options in (plain, replace(told, restored_ends=(done.restored_ends[0] - 2, 0))):
        async with broker_of(options) as broker:
            with pytest.raises(SettingsError, match="bear the time their writer chose"):
                [batch async for batch in read_to_end(broker, RAW.name)]


async def test_what_was_interrupted_is_gone_on_with(recorded, empty, monkeypatch):
    folder, (_, ends) = recorded
    store, whole, left = objects.opened(archive_in(folder)), ExactWriter.write, [12]

    async def breaks(self, where, at, records):
        left[0] -= 1
        if left[0] < 0:
            raise Unavailable("the broker is away")
        await whole(self, where, at, records)

    monkeypatch.setattr(ExactWriter, "write", breaks)
    with pytest.raises(Unavailable, match="the broker is away"):
        await restored(store, empty)
    monkeypatch.undo()
    options = KafkaOptions.of(empty, "test")
    half = (await held(options))[1]
    assert any(half.values())
    assert half != ends
    done = await restored(store, empty)
    assert (await held(options))[1] == ends
    assert done.records > 0
    assert (await restored(store, empty)).records == 0


async def test_a_cluster_that_holds_something_else_is_refused(recorded, empty):
    folder, _ = recorded
    store = objects.opened(archive_in(folder))
    async with broker_of(KafkaOptions.of(empty, "test")) as broker:
        await write(broker, said(3, topic=HEADERS))
        assert "m0.headers.v1 partition 0 is not empty" in await refusal(store, empty)
        await write(broker, said(3, topic=NORMALIZED))
        assert "topic m0.normalized.v1 is not empty" in await refusal(store, empty)
    assert "m0.raw.v1 has 2 partitions here" in await refusal(store, empty, replace(DEPLOYMENT, partitions=3))
    with pytest.raises(NoArchive, match="has no log of cluster other"):
        await restored(store, empty, "other")


async def test_a_changed_byte_is_refused_before_anything_is_written(recorded, empty):
    folder, _ = recorded
    piece = sorted(path for path in (folder / pieces.FOLDER).rglob("*") if path.is_file())[3]
    honest = piece.read_bytes()
    piece.write_bytes(honest[:-1] + bytes([honest[-1] ^ 1]))
    try:
        with pytest.raises(Damaged, match=piece.name):
            await restored(objects.opened(archive_in(folder)), empty)
    finally:
        piece.write_bytes(honest)
    assert not any((await held(KafkaOptions.of(empty, "test")))[1].values())
