"""What differs between the catalogue and a cluster, and what doing it leaves."""

import pytest
from m0common.errors import SettingsError
from m0common.rights import Right, principals, rights
from m0common.settings import Kafka
from m0common.topics import BY_NAME, RAW, TOPICS, Topic
from m0kafka.apply import apply
from m0kafka.plan import plan
from m0kafka.wanted import Wanted
from memory_cluster import MemoryCluster

SECURED = Wanted.of(
    Kafka(
        security_protocol="SASL_SSL",
        username="admin",
        password="secret",
        partitions=4,
        replication=3,
        min_insync_replicas=2,
        signers=2,
    )
)
PASSWORDS = {name: f"of {name}" for name in SECURED.users}


@pytest.fixture
def cluster():
    return MemoryCluster()


def do(wanted: Wanted, cluster: MemoryCluster, passwords=None) -> list[str]:
    said: list[str] = []
    apply(cluster, plan(wanted, cluster), passwords or {}, said.append)
    return said


def test_an_empty_cluster_gets_every_topic_user_and_right_and_then_nothing_differs(cluster):
    do(SECURED, cluster, PASSWORDS)
    assert {name: (topic.partitions, topic.replication) for name, topic in cluster.found.items()} == {
        topic.name: (topic.partitions(4), 3) for topic in TOPICS
    }
    assert {topic.settings["min.insync.replicas"] for topic in cluster.found.values()} == {"2"}
    assert cluster.found[RAW.name].settings["message.timestamp.type"] == "LogAppendTime"
    assert cluster.passwords == PASSWORDS
    assert cluster.granted == rights(2)
    assert plan(SECURED, cluster).sentences() == []


def test_only_what_differs_is_changed_and_the_sentence_says_from_what(cluster):
    do(SECURED, cluster, PASSWORDS)
    cluster.change(RAW.name, {"retention.ms": "5", "segment.ms": "1000"})
    assert plan(SECURED, cluster).sentences() == [f"change topic {RAW.name}: retention.ms = 604800000 (was 5)"]
    do(SECURED, cluster)
    assert cluster.found[RAW.name].settings["segment.ms"] == "1000"
    assert plan(SECURED, cluster).sentences() == []


def test_another_count_of_partitions_is_refused_with_the_remedy(cluster):
    do(SECURED, cluster, PASSWORDS)
    other = Wanted(TOPICS, 8, 3, 2)
    with pytest.raises(SettingsError, match=r"has 4 partitions and 8 are configured: set kafka\.partitions = 4"):
        plan(other, cluster)


def test_fewer_replicas_than_configured_are_refused_with_the_remedy_and_more_are_fine(cluster):
    topic = Topic("m0.one.v1", "key", "one", (), ())
    do(Wanted([topic], 4, 2), cluster)
    with pytest.raises(SettingsError, match=r"has 2 replicas and kafka\.replication = 3: .*kafka-reassign-partitions"):
        plan(Wanted([topic], 4, 3), cluster)
    assert plan(Wanted([topic], 4, 1), cluster).sentences() == []


def test_a_right_that_the_table_no_longer_has_is_taken_back_and_a_strangers_stays(cluster):
    do(SECURED, cluster, PASSWORDS)
    stale = {Right("model", "topic", RAW.name, "READ"), Right("signer-7", "topic", RAW.name, "READ")}
    strangers = {Right("grafana", "topic", RAW.name, "READ")}
    cluster.grant(stale | strangers)
    assert plan(SECURED, cluster).sentences() == [f"revoke {right}" for right in sorted(stale)]
    do(SECURED, cluster)
    assert cluster.granted == rights(2) | strangers


def test_expanding_adds_all_that_is_missing_and_takes_nothing_from_the_version_before(cluster):
    do(SECURED, cluster, PASSWORDS)
    before = {Right("model", "topic", RAW.name, "READ"), Right("signer-3", "topic", RAW.name, "READ")}
    missing = Right("model", "group", "m0-model", "READ", prefixed=True)
    cluster.grant(before)
    cluster.revoke({missing})
    del cluster.found["m0.dlq.v1"], cluster.passwords["model"]
    due = plan(SECURED, cluster)
    assert due.contracting().sentences() == [f"revoke {right}" for right in sorted(before)]
    assert due.expanding().sentences() + due.contracting().sentences() == due.sentences()
    apply(cluster, due.expanding(), PASSWORDS, lambda _: None)
    assert cluster.granted == rights(2) | before
    assert (cluster.passwords, "m0.dlq.v1" in cluster.found) == (PASSWORDS, True)
    assert plan(SECURED, cluster) == due.contracting()
    do(SECURED, cluster)
    assert cluster.granted == rights(2)


@pytest.mark.parametrize(
    ("key", "now", "narrows"),
    [
        ("retention.ms", "604799999", False),
        ("retention.ms", "604800001", True),
        ("retention.ms", "-1", True),
        ("max.message.bytes", "5", False),
        ("max.message.bytes", "2000000", True),
        ("cleanup.policy", "compact", True),
        ("message.timestamp.type", "CreateTime", False),
        ("min.insync.replicas", "1", False),
    ],
)
def test_a_topic_keeps_and_takes_no_less_by_expanding(cluster, key, now, narrows):
    do(SECURED, cluster, PASSWORDS)
    cluster.change(RAW.name, {key: now, "compression.type": "zstd"})
    due = plan(SECURED, cluster)
    (done,) = due.expanding().change
    assert done.settings.keys() == {"compression.type"} | (set() if narrows else {key})
    assert [change.settings.keys() for change in due.contracting().change] == ([{key}] if narrows else [])


def test_where_clients_do_not_log_in_there_are_no_users_and_no_rights(cluster):
    do(Wanted.of(Kafka(partitions=2)), cluster)
    assert (cluster.passwords, cluster.granted) == ({}, set())


def test_with_plain_passwords_there_are_rights_and_the_users_are_somebody_elses(cluster):
    settings = Kafka(security_protocol="SASL_SSL", sasl_mechanism="PLAIN", username="admin", password="secret")
    do(Wanted.of(settings), cluster)
    assert (cluster.passwords, cluster.granted) == ({}, set(rights(3)))


def test_the_arithmetic_of_what_is_kept_is_said():
    assert SECURED.describe(RAW) == (
        "m0.raw.v1: 4 x 3 = 12 replicas of partitions, append time, kept for 7 d x 86400000 = 604800000 ms, "
        "a message of at most 1048576 bytes"
    )
    assert "kept for 1 h x 3600000 = 3600000 ms" in SECURED.describe(BY_NAME["m0.provisional.v1"])
    assert "the last message of each key" in SECURED.describe(BY_NAME["m0.registry.v1"])


def test_nobody_of_the_table_may_create_or_change_anything():
    allowed = {
        "topic": {"READ", "WRITE", "DELETE", "DESCRIBE_CONFIGS"},
        "group": {"READ", "DESCRIBE"},
        "transactional_id": {"WRITE"},
    }
    for right in rights(3):
        assert right.operation in allowed.get(right.resource, {"DESCRIBE"})
    assert {right.principal for right in rights(3) if right.operation == "DELETE"} == {"jobs"}
    assert {right.principal for right in rights(3) if right.operation == "DESCRIBE_CONFIGS"} == {"operator"}
    assert {right.principal for right in rights(3) if right.resource == "transactional_id"} == {"ingest"}


def test_every_name_of_the_catalogue_is_a_principal_or_one_that_does_not_exist_yet():
    known = {*principals(0), "signer", "any", "m0 catalog", "m0 lane", "replay", "monitor"}
    assert {role for topic in TOPICS for role in (*topic.producers, *topic.consumers)} <= known
