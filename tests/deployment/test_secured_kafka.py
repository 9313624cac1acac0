"""`m0 topics apply` on three nodes that trust nobody: each principal does its work and nothing else."""

import asyncio
import dataclasses
import json

import pytest
import typer.testing
from m0cli import kafka as kafka_command
from m0cli import topics as topics_command
from m0common.errors import Unavailable
from m0common.rights import OPERATOR, SERVICES, TRANSACTIONAL_ID_PREFIX, principals, rights
from m0common.secret import Secret
from m0common.stream.broker import TopicPartition
from m0common.stream.kafka import KafkaBroker
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.records import Produce
from m0common.topics import CURSORS, DLQ, FEATURES, MANIFESTS, NORMALIZED, PREDICTIONS, RAW, STATE, TOPICS
from m0kafka.confluent import ConfluentCluster
from m0kafka.passwords import folder, password_of
from m0local import testing
from secured_kafka import make_certificates, secured_kafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]
SIGNERS = 2
CONFIG = f"[kafka]\npartitions = 2\nreplication = 3\nmin_insync_replicas = 2\nsigners = {SIGNERS}\n"
EVERYBODY = principals(SIGNERS)
OWNERS = {NORMALIZED.name: "normalize", PREDICTIONS.name: "model", STATE[2].name: "feature"}
"""Some topics, and who alone writes them, beside jobs."""


class Deployment:
    """The cluster, and commands as somebody runs them on it."""

    def __init__(self, kafka, home) -> None:
        self.kafka = kafka
        self.home = home
        (home / "config.toml").write_text(CONFIG)

    def m0(self, app, *arguments, **environment):
        env = {
            "M0_HOME": str(self.home),
            "M0_KEYS_DIR": str(self.home / "keys"),
            "M0_CONFIG_PATH": str(self.home / "config.toml"),
            **self.kafka.environment(),
            **environment,
        }
        return typer.testing.CliRunner().invoke(app, arguments, env=env)

    def password(self, user: str) -> str:
        return password_of(folder(str(self.home / "keys")), user)

    def options(self, user: str) -> KafkaOptions:
        return self.kafka.options(user, self.password(user))

    def broker(self, user: str) -> KafkaBroker:
        return KafkaBroker(self.options(user))


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    with secured_kafka(tmp_path_factory.mktemp("secured")) as kafka:
        made = Deployment(kafka, tmp_path_factory.mktemp("home"))
        applied = made.m0(topics_command.app, "apply")
        assert applied.exit_code == 0, applied.output
        yield made


async def write(broker: KafkaBroker, topic: str, value: bytes = b"x") -> None:
    await testing.write(broker, [Produce(topic, 0, b"key", value)])


async def read(broker: KafkaBroker, topic: str) -> list[bytes]:
    return [record.value for record in await testing.read(broker, topic)]


async def join(broker: KafkaBroker, group: str, topic: str) -> None:
    """Be given partitions of a topic in a group."""
    assigned = asyncio.Event()

    async def on_assigned(_partitions):
        assigned.set()
        return {}

    async def on_revoked(_partitions):
        pass

    consumer = broker.consumer(group=group)
    await consumer.start()
    try:
        await consumer.subscribe([topic], on_assigned, on_revoked)
        async with asyncio.timeout(60):
            while not assigned.is_set():
                await consumer.getmany(10, 100)
    finally:
        await consumer.stop()


def topics_of(user: str, operation: str) -> list[str]:
    return sorted(
        right.name
        for right in rights(SIGNERS)
        if (right.principal, right.resource, right.operation, right.prefixed) == (user, "topic", operation, False)
    )


def test_everything_is_there_and_applying_again_changes_nothing(deployment):
    checked = deployment.m0(topics_command.app, "check")
    assert (checked.exit_code, checked.stdout) == (0, "Everything is as it should be.\n")
    again = deployment.m0(topics_command.app, "apply", "--json")
    assert json.loads(again.stdout) == {"done": [], "left": [], "users": list(EVERYBODY)}
    found = ConfluentCluster(deployment.kafka.options()).topics([topic.name for topic in TOPICS])
    assert {topic.replication for topic in found.values()} == {3}
    assert {topic.settings["min.insync.replicas"] for topic in found.values()} == {"2"}
    assert found[RAW.name].settings["message.timestamp.type"] == "LogAppendTime"


def test_passwords_are_for_their_owner_alone(deployment):
    files = sorted((deployment.home / "keys" / "kafka").iterdir())
    assert [file.name for file in files] == sorted(EVERYBODY)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert len({file.read_text() for file in files}) == len(EVERYBODY)


@pytest.mark.parametrize("user", EVERYBODY)
async def test_a_principal_does_what_its_service_does(deployment, user):
    broker = deployment.broker(user)
    for topic in topics_of(user, "WRITE"):
        await write(broker, topic)
    for topic in topics_of(user, "READ"):
        await read(broker, topic)


@pytest.mark.parametrize("user", SERVICES)
async def test_a_service_has_the_groups_of_its_name_and_no_others(deployment, user):
    topic = topics_of(user, "READ")[0]
    await join(deployment.broker(user), f"m0-{user}-0123456789", topic)
    other = "m0-model" if user != "model" else "m0-feature"
    with pytest.raises(Unavailable, match="GroupAuthorizationFailed"):
        await join(deployment.broker(user), f"{other}-0123456789", topic)


@pytest.mark.parametrize("user", EVERYBODY)
async def test_a_principal_is_refused_anothers_topics(deployment, user):
    may_read, may_write = topics_of(user, "READ"), topics_of(user, "WRITE")
    broker = deployment.broker(user)
    for topic, owner in OWNERS.items():
        await write(deployment.broker(owner), topic)
        if topic not in may_write:
            with pytest.raises(Unavailable, match=f"does not let {user}|TopicAuthorizationFailed"):
                await write(broker, topic, b"forged")
        if topic not in may_read and user != OPERATOR:
            with pytest.raises(Unavailable, match=f"does not let {user}|TopicAuthorizationFailed"):
                await read(broker, topic)


async def transact(broker: KafkaBroker, name: str) -> None:
    """What a connector does in one turn: an event and its cursor, whole or not at all."""
    writer = broker.transactions(name)
    await writer.start()
    try:
        await writer.send([Produce(RAW.name, 0, b"key", b"x"), Produce(CURSORS.name, 0, b"football", b"1")])
    finally:
        await writer.stop()


@pytest.mark.parametrize("user", EVERYBODY)
async def test_ingest_alone_writes_as_its_connectors(deployment, user):
    connector = f"{TRANSACTIONAL_ID_PREFIX}football"
    if user == "ingest":
        await transact(deployment.broker(user), connector)
        with pytest.raises(Unavailable, match="TransactionalIdAuthorizationFailed"):
            await transact(deployment.broker(user), "m0-model-football")
    else:
        with pytest.raises(Unavailable, match="TransactionalIdAuthorizationFailed"):
            await transact(deployment.broker(user), connector)


@pytest.mark.parametrize("user", EVERYBODY)
def test_nobody_creates_topics_or_changes_them_or_makes_users(deployment, user):
    cluster = ConfluentCluster(deployment.options(user))
    with pytest.raises(Unavailable, match=f"refuses {user}: .*administrator"):
        cluster.create("m0.mine.v1", 1, 3, {})
    with pytest.raises(Unavailable, match=f"refuses {user}: .*administrator"):
        cluster.change(FEATURES.name, {"retention.ms": "1"})
    with pytest.raises(Unavailable, match=f"refuses {user}: .*administrator"):
        cluster.set_password("jobs", "stolen")
    if user != OPERATOR:
        with pytest.raises(Unavailable, match=f"refuses {user}: .*administrator"):
            cluster.topics([DLQ.name])


async def test_jobs_delete_the_prefix_of_state_and_manifests_and_nobody_else_does(deployment):
    await write(deployment.broker("normalize"), MANIFESTS.name)
    await write(deployment.broker("normalize"), DLQ.name)
    where = TopicPartition(MANIFESTS.name, 0)
    with pytest.raises(Unavailable, match="TopicAuthorizationFailed"):
        await deployment.broker("normalize").delete_before({where: 1})
    with pytest.raises(Unavailable, match="TopicAuthorizationFailed"):
        await deployment.broker("jobs").delete_before({TopicPartition(DLQ.name, 0): 1})
    await deployment.broker("jobs").delete_before({where: 1})
    consumer = deployment.broker("jobs").consumer()
    await consumer.start()
    assert await consumer.begin_offsets([where]) == {where: 1}
    await consumer.stop()


def test_an_operator_may_look_and_is_refused_to_apply(deployment):
    operator = deployment.kafka.environment(OPERATOR, deployment.password(OPERATOR))
    checked = deployment.m0(topics_command.app, "check", **operator)
    assert (checked.exit_code, checked.stdout) == (0, "Everything is as it should be.\n")
    refused = deployment.m0(topics_command.app, "apply", **operator)
    assert refused.exit_code == 1
    assert refused.stderr == (
        "m0 topics apply: set the password of ingest: Kafka refuses operator: run this as an administrator of the "
        "cluster\n"
    )


async def test_wrong_credentials_are_refused_with_one_sentence(deployment):
    sentence = r"connect to [\d.:,]+: Kafka refuses user 'model' with this password: set M0_KAFKA_USERNAME and"
    anothers = KafkaBroker(deployment.kafka.options("model", deployment.password("feature")))
    with pytest.raises(Unavailable, match=sentence):
        await anothers.partitions(RAW.name)
    with pytest.raises(Unavailable, match=sentence):
        await anothers.producer().start()
    with pytest.raises(Unavailable, match=sentence):
        await anothers.consumer().start()


def test_a_command_with_wrong_credentials_says_one_sentence(deployment):
    said = deployment.m0(topics_command.app, "check", M0_KAFKA_PASSWORD="wrong")
    assert (said.exit_code, said.stdout, said.stderr.count("\n")) == (1, "", 1)
    assert "Kafka refuses user 'admin' with this password" in said.stderr


async def test_a_cluster_that_strangers_certified_is_refused_with_one_sentence(deployment, tmp_path):
    make_certificates(tmp_path, "stranger")
    options = deployment.options("model")
    security = dataclasses.replace(options.security, cafile=str(tmp_path / "stranger.pem"))
    with pytest.raises(Unavailable, match=r"certificate of [\d.:]+ is not trusted .*M0_KAFKA_SSL_CAFILE"):
        await KafkaBroker(dataclasses.replace(options, security=security)).partitions(FEATURES.name)


async def test_a_password_that_was_changed_in_its_file_counts_at_the_next_connect(deployment, tmp_path):
    file = tmp_path / "password"
    file.write_text(deployment.password("feature") + "\n")
    options = deployment.options("feature")
    security = dataclasses.replace(options.security, password=Secret(file=file))
    broker = KafkaBroker(dataclasses.replace(options, security=security))
    await write(broker, FEATURES.name)
    cluster = await asyncio.to_thread(ConfluentCluster, deployment.kafka.options())
    await asyncio.to_thread(cluster.set_password, "feature", "changed")
    with pytest.raises(Unavailable, match="refuses user 'feature'"):
        await refused_soon(broker)
    file.write_text("changed\n")
    await write(broker, FEATURES.name)
    await asyncio.to_thread(cluster.set_password, "feature", deployment.password("feature"))


async def refused_soon(broker: KafkaBroker) -> None:
    """Each broker hears of a password a moment after the controller."""
    async with asyncio.timeout(60):
        while True:
            await write(broker, FEATURES.name)


async def test_what_m0_kafka_client_prints_lets_the_operator_in(deployment):
    printed = deployment.m0(kafka_command.app, "client", "--json")
    found = json.loads(printed.stdout)
    assert found == {
        "bootstrap": deployment.kafka.bootstrap,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "username": OPERATOR,
        "password": deployment.password(OPERATOR),
        "ssl_cafile": str(deployment.kafka.ca),
    }
    await write(deployment.broker("feature"), FEATURES.name, b"looked at")
    assert b"looked at" in await read(
        KafkaBroker(deployment.kafka.options(found["username"], found["password"])), FEATURES.name
    )


async def test_a_brokers_death_loses_nothing_and_stops_nobody(deployment):
    broker = deployment.broker("feature")
    producer = broker.producer()
    await producer.start()
    await producer.send([Produce(FEATURES.name, 1, b"k", b"before")])
    victim = deployment.kafka.nodes[2]
    victim.kill()
    try:
        async with asyncio.timeout(120):
            for number in range(20):
                await patiently(producer, [Produce(FEATURES.name, 1, b"k", str(number).encode())])
        await producer.stop()
        async with asyncio.timeout(120):
            seen = await read_patiently(deployment.broker("model"), FEATURES.name)
        mine = [value for value in seen if value == b"before" or value.isdigit()]
        assert mine == [b"before", *(str(number).encode() for number in range(20))]
    finally:
        await asyncio.to_thread(victim.start)


async def patiently(producer, messages) -> None:
    while True:
        try:
            await producer.send(messages)
        except Unavailable:
            await asyncio.sleep(0.5)
        else:
            return


async def read_patiently(broker, topic) -> list[bytes]:
    while True:
        try:
            return await read(broker, topic)
        except Unavailable:
            await asyncio.sleep(0.5)
