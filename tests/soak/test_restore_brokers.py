"""A log is written anew into three nodes that trust nobody, each the leader of some of its partitions."""

import asyncio

import pytest
import typer.testing
from m0archive import objects, pieces
from m0archive.collect import TOPICS as ARCHIVED
from m0archive.writer import Writer
from m0cli import topics as topics_command
from m0common.clock import SystemClock
from m0common.deployment import Deployment
from m0common.leases.port import Lease
from m0common.settings import load
from m0common.stream.broker import TopicPartition
from m0common.stream.follow import read_to_end
from m0common.stream.kafka_bounds import bounds
from m0common.stream.records import Record
from m0common.topics import CURSORS, RAW, STATE
from m0common.topics import TOPICS as CATALOGUE
from m0deploy.restore_log import restore
from m0local.testing import broker_of
from secured_kafka import NODES, secured_kafka

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
PARTITIONS = 8
DEPLOYMENT = Deployment(b"g" * 32, b"c" * 32, PARTITIONS)
CONFIG = f"[kafka]\npartitions = {PARTITIONS}\nreplication = 3\nmin_insync_replicas = 2\nsigners = 1\n"
BEGINS = 100
ENDS = 700
NOW_MS = SystemClock().now_ms()


def record(where, offset):
    return Record(*where, offset, b"k%d" % (offset % 5), b"value %d" % offset, (), NOW_MS - 60_000 + offset)


def log_of(where):
    """Two records and a hole where the mark of their transaction was, again and again, and one longer hole."""
    return [record(where, n) for n in range(BEGINS, ENDS) if n % 3 < 2 and not 300 <= n < 500]


PLACES = [TopicPartition(t.name, n) for t in (RAW, CURSORS, STATE[1]) for n in range(t.partitions(PARTITIONS))]


async def archived(store):
    writer = Writer(store, Lease("jobs", "w", 1), SystemClock())
    counts = {topic.name: topic.partitions(PARTITIONS) for topic in CATALOGUE if topic.name in ARCHIVED}
    await writer.open(DEPLOYMENT, "the cluster that was lost", counts)
    await writer.commit([pieces.seal(where, BEGINS, ENDS, log_of(where)) for where in PLACES], {})


@pytest.fixture
def kafka(tmp_path):
    """Three nodes with the topics, and the settings by which its administrator reaches them."""
    (tmp_path / "config.toml").write_text(CONFIG)
    with secured_kafka(tmp_path) as made:
        told = made.environment() | {
            "M0_HOME": str(tmp_path),
            "M0_KEYS_DIR": str(tmp_path / "keys"),
            "M0_CONFIG_PATH": str(tmp_path / "config.toml"),
        }
        applied = typer.testing.CliRunner().invoke(topics_command.app, ["apply"], env=told)
        assert applied.exit_code == 0, applied.output
        yield made, load(told).kafka


async def test_every_record_is_at_its_offset_on_whichever_node_it_lies(kafka):
    cluster, settings = kafka
    store = objects.memory()
    await archived(store)
    done = await restore(store, DEPLOYMENT, settings, SystemClock(), None, print)
    assert done.records == sum(len(log_of(where)) for where in PLACES)
    assert done.restored_ends == (ENDS,) * PARTITIONS
    options = cluster.options()
    assert {each.end for each in (await bounds(options, PLACES)).values()} == {ENDS}
    async with broker_of(options) as broker:
        for topic in (RAW, CURSORS, STATE[1]):
            wanted = [each for where in PLACES if where.topic == topic.name for each in log_of(where)]
            found = [r async for batch in read_to_end(broker, topic.name, allow_create_time=True) for r in batch]
            assert sorted(found) == sorted(wanted)
    led = await asyncio.to_thread(leaders, cluster)
    assert led == set(NODES), "every node leads some of what was written"
    again = await restore(store, DEPLOYMENT, settings, SystemClock(), None, print)
    assert again.records == 0


def leaders(cluster):
    """The nodes that lead partitions of what was restored."""
    from confluent_kafka.admin import AdminClient

    found = AdminClient(cluster.options().for_librdkafka()).list_topics(timeout=20).topics
    return {found[where.topic].partitions[where.partition].leader for where in PLACES}
