"""The settings of topics on a real broker."""

import time
from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException
from m0common.errors import Unavailable
from m0common.stream.kafka_options import KafkaOptions
from m0common.topics import Topic
from m0kafka import confluent
from m0kafka.apply import apply
from m0kafka.confluent import ConfluentCluster
from m0kafka.plan import plan
from m0kafka.wanted import Wanted

pytestmark = [pytest.mark.kafka]


@pytest.fixture
def cluster(kafka):
    return ConfluentCluster(KafkaOptions(kafka.bootstrap))


def make(cluster, topic, **wanted):
    apply(cluster, plan(Wanted([topic], 1, **wanted), cluster), {}, print)


def shown(cluster, name, wanted):
    """Wait until the broker shows these settings, which its controller has taken in."""
    deadline = time.monotonic() + 60
    while not wanted.items() <= cluster.topics([name])[name].settings.items():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def fenced():
    """What a cluster answers to whoever creates a topic while no broker takes part."""
    answer = Future()
    answer.set_exception(
        KafkaException(KafkaError(KafkaError.INVALID_REPLICATION_FACTOR, "All brokers are currently fenced."))
    )
    return answer


def test_a_topic_is_created_once_a_broker_takes_part(cluster, monkeypatch):
    def late(_topics):
        tries.append(fenced())
        if len(tries) == 3:
            monkeypatch.undo()
        return {"late": tries[-1]}

    tries = []
    monkeypatch.setattr(cluster._admin, "create_topics", late)
    make(cluster, Topic("late", "key", "one", (), ()))
    assert len(tries) == 3
    assert cluster.topics(["late"])["late"].partitions == 1


def test_brokers_that_stay_fenced_are_named_with_the_remedy(cluster, monkeypatch):
    monkeypatch.setattr(confluent, "VISIBLE_S", 0.3)
    monkeypatch.setattr(cluster._admin, "create_topics", lambda _topics: {"never": fenced()})
    with pytest.raises(Unavailable, match="create topic never: All brokers are currently fenced: see the brokers'"):
        make(cluster, Topic("never", "key", "one", (), ()))


def test_a_topic_gets_the_settings_of_the_catalogue_and_their_changes(cluster):
    make(cluster, Topic("settings", "key", "one", (), (), compacted=True, max_message_bytes=5000))
    shown(cluster, "settings", {"cleanup.policy": "compact", "max.message.bytes": "5000"})
    make(cluster, Topic("settings", "key", "one", (), (), retention_ms=1234))
    shown(cluster, "settings", {"cleanup.policy": "delete", "retention.ms": "1234"})


def test_what_an_operator_set_stays_unless_it_is_ours(cluster):
    topic = Topic("operator", "key", "one", (), (), retention_ms=1000)
    make(cluster, topic)
    own = {"min.insync.replicas": "2", "segment.bytes": "20000000", "retention.ms": "5", "cleanup.policy": "compact"}
    cluster.change("operator", own)
    shown(cluster, "operator", own)
    make(cluster, topic)
    shown(cluster, "operator", own | topic.settings() | {"min.insync.replicas": "1"})


def test_creating_a_topic_that_is_there_is_no_error(cluster):
    for _ in range(2):
        cluster.create("twice", 1, 1, {})
    assert cluster.topics(["twice", "never"]).keys() == {"twice"}
