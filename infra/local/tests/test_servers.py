"""The real servers: start, answer, survive kill -9 with their data, and are told from strangers on the same port."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError
from m0index import migrations
from m0local import shared
from m0local.ports import free_port
from m0local.servers import KafkaServer, PostgresServer, ValkeyServer
from m0local.servers.postgres import drop_stale_pid_file
from m0local.servers.warm_start import cache_of
from m0local.testing import (
    RunningKafka,
    fresh_kafka,
    kafka_server,
    postgres_server,
    storage_of,
    take_storage,
    valkey_server,
)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    """Its home is of another alphabet, which those of users may be."""
    home = tmp_path_factory.mktemp("kafka") / "zürich Ω"
    home.mkdir()
    with kafka_server(home) as server:
        yield server


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    with postgres_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


async def _create_topic(bootstrap, topic, **configs):
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
    finally:
        await admin.close()


async def _send(bootstrap, topic, value, **options):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", **options)
    await producer.start()
    try:
        await asyncio.wait_for(producer.send_and_wait(topic, value), 20)
    finally:
        await producer.stop()


async def _read_one(bootstrap, topic):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return await asyncio.wait_for(consumer.getone(), 20)
    finally:
        await consumer.stop()


@pytest.mark.kafka
async def test_kafka_keeps_an_acknowledged_record_through_kill_9(kafka):
    await _create_topic(kafka.bootstrap, "t")
    await _send(kafka.bootstrap, "t", b"kept")
    kafka.kill()
    assert not kafka.server.ready()
    kafka.start()
    record = await _read_one(kafka.bootstrap, "t")
    assert record.value == b"kept"


@pytest.mark.kafka
async def test_kafka_lets_a_topic_allow_messages_up_to_eight_mebibytes(kafka):
    await _create_topic(kafka.bootstrap, "big", **{"max.message.bytes": str(8 << 20)})
    await _send(kafka.bootstrap, "big", b"x" * (7 << 20), max_request_size=9 << 20)
    assert psutil.Process(kafka.pid).memory_info().rss < 400 << 20


@pytest.mark.kafka
async def test_kafka_refuses_what_a_topic_does_not_allow_to_its_sender(kafka):
    await _create_topic(kafka.bootstrap, "small", **{"max.message.bytes": str(1 << 20)})
    with pytest.raises(MessageSizeTooLargeError):
        await _send(kafka.bootstrap, "small", b"x" * (2 << 20), max_request_size=9 << 20)


@pytest.mark.kafka
def test_a_broker_starts_from_what_an_earlier_start_has_loaded_or_from_nothing_where_that_is_spoilt(kafka, tmp_path):
    cache = kafka.server.start_cache()
    if cache is None:
        pytest.skip("this Java keeps no starts: Java 25 does")
    # another process may be at it: whoever comes meanwhile starts from nothing
    assert (f"-XX:AOTCache={cache}" in kafka.server.command()) == cache.exists()
    port = free_port(count=2)
    jars = tmp_path / "jars"
    jars.mkdir()
    for jar in kafka.server.jars.glob("*.jar"):
        (jars / jar.name).hardlink_to(jar)
    spoilt = RunningKafka(KafkaServer(tmp_path / "kafka", port, port + 1, jars=jars))
    (jars / cache.name).write_bytes(b"no cache")
    try:
        spoilt.start()
        assert spoilt.server.ready()
    finally:
        spoilt.stop()


@pytest.mark.kafka
def test_storage_that_is_copied_has_ids_of_its_own(kafka, tmp_path):
    cache = kafka.server.start_cache()
    if cache is None:
        pytest.skip("this Java keeps no starts: Java 25 does")
    copies = [fresh_kafka(tmp_path / name, kafka.server.jars) for name in "ab"]
    for each in copies:
        take_storage(each, storage_of(cache))
    brokers = [kafka.server, *copies]
    assert len({each.cluster_id() for each in brokers}) == len(brokers)
    metas = [(each.data / "meta.properties").read_text().splitlines() for each in brokers]
    assert len({line for meta in metas for line in meta if line.startswith("directory.id=")}) == len(brokers)
    assert {line.partition("=")[0] for line in metas[1]} == {line.partition("=")[0] for line in metas[0]}


def test_a_java_of_before_25_or_without_a_release_keeps_no_start(tmp_path):
    java = tmp_path / "bin" / "java"
    assert cache_of(str(java), tmp_path, []) is None
    for version, keeps in (("21.0.4", False), ("24", False), ("25", True), ("26.0.1", True)):
        (tmp_path / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
        assert (cache_of(str(java), tmp_path, []) is not None) == keeps
    assert cache_of(str(java), tmp_path, []) != cache_of(str(java), tmp_path, ["-Xmx1g"])


@pytest.mark.kafka
def test_another_broker_on_the_port_is_not_taken_for_ours(kafka, tmp_path):
    stranger = KafkaServer(tmp_path, kafka.server.port, kafka.server.controller_port, jars=kafka.server.jars)
    stranger.prepare()
    assert kafka.server.ready()
    assert not stranger.ready()


@pytest.mark.postgres
def test_postgres_keeps_a_committed_row_through_kill_9(postgres):
    with psycopg.connect(postgres.dsn) as conn:
        conn.execute("CREATE TABLE t (x int)")
        conn.execute("INSERT INTO t VALUES (7)")
    postgres.kill()
    assert not postgres.server.ready()
    postgres.start()
    with psycopg.connect(postgres.dsn) as conn:
        assert conn.execute("SELECT x FROM t").fetchall() == [(7,)]


@pytest.mark.postgres
def test_another_postgres_on_the_port_is_not_taken_for_ours(postgres, tmp_path):
    assert postgres.server.ready()
    assert not PostgresServer(tmp_path, postgres.server.port).ready()


@pytest.mark.postgres
def test_postgres_stops_within_two_seconds_while_a_client_is_connected(postgres):
    conn = psycopg.connect(postgres.dsn)
    started = time.monotonic()
    postgres.stop()
    assert time.monotonic() - started < 2
    conn.close()
    postgres.start()


def test_a_pid_file_whose_pid_belongs_to_another_program_is_dropped(tmp_path):
    import os

    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n/data\n")
    drop_stale_pid_file(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()


def test_valkey_keeps_a_write_through_kill_9(tmp_path):
    with valkey_server(tmp_path) as valkey:
        client = redis.Redis.from_url(valkey.url)
        client.set("k", "v")
        client.close()
        time.sleep(1.2)
        valkey.kill()
        assert not valkey.server.ready()
        valkey.start()
        client = redis.Redis.from_url(valkey.url)
        assert client.get("k") == b"v"
        client.close()


def test_another_valkey_on_the_port_is_not_taken_for_ours(tmp_path):
    with valkey_server(tmp_path / "a") as valkey:
        assert not ValkeyServer(tmp_path / "b", valkey.server.port).ready()


@pytest.mark.kafka
def test_a_broker_keeps_its_data_in_a_home_of_any_alphabet(kafka):
    home = kafka.server.home
    assert (home / "data" / "meta.properties").exists()
    assert [path.name for path in home.parent.iterdir()] == ["zürich Ω"]


@pytest.mark.kafka
def test_processes_that_share_a_folder_share_servers_and_the_last_one_ends_them(tmp_path):
    kafka, postgres = shared.shared_kafka(tmp_path), shared.shared_postgres(tmp_path)
    another = "import sys, pathlib, m0local.shared as s; print(s.shared_{}(pathlib.Path(sys.argv[1])).pid)"
    for name, pid in ("kafka", kafka.pid), ("postgres", postgres.pid):
        asked = [sys.executable, "-c", another.format(name), str(tmp_path)]
        assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == f"{pid}\n"
    assert migrations.current(postgres.index()) == migrations.head()
    assert migrations.current(postgres.empty()) is None
    shared.end_shared(tmp_path)
    for pid in kafka.pid, postgres.pid:
        assert not Path(f"/proc/{pid}").exists()
    shared.end_shared(tmp_path)
