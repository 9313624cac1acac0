"""Topics of a Kafka cluster: create, look up, adjust settings. Each use opens a short-lived connection."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]

from m0common.errors import Unavailable
from m0common.stream.kafka_call import call
from m0common.stream.kafka_options import KafkaOptions
from m0common.telemetry.logs import logger
from m0common.topics import Topic

log = logger(__name__)

NO_ERROR = 0
TOPIC_ALREADY_EXISTS = 36
VISIBLE_ATTEMPTS = 100
VISIBLE_DELAY_S = 0.1


class Admin:
    """An open admin connection."""

    def __init__(self, client: AIOKafkaAdminClient, timeout_ms: int) -> None:
        self._client = client
        self._timeout_ms = timeout_ms

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        """How many partitions each existing topic of `topics` has."""
        found = await call("describe topics", self._timeout_ms, self._client.describe_topics(list(topics)))
        return {t["topic"]: len(t["partitions"]) for t in found if t["error_code"] == NO_ERROR}

    async def settings(self, topics: Sequence[str]) -> dict[str, dict[str, str]]:
        """The effective settings of existing topics."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        answers = await call("describe settings", self._timeout_ms, self._client.describe_configs(resources))
        return {
            resource[3]: {entry[0]: entry[1] for entry in resource[4]}
            for answer in answers
            for resource in answer.resources
            if resource[0] == NO_ERROR
        }

    async def create(self, topics: Sequence[tuple[Topic, int]], replication: int) -> None:
        """Create topics that do not exist; one that somebody else creates meanwhile is fine."""
        new = [NewTopic(t.name, count, replication, topic_configs=t.settings()) for t, count in topics]
        answer = await call("create topics", self._timeout_ms, self._client.create_topics(new))
        for name, code, *message in answer.topic_errors:
            if code not in (NO_ERROR, TOPIC_ALREADY_EXISTS):
                raise Unavailable(f"create topic {name}: Kafka's error {code} {message}")

    async def set_settings(self, topics: Sequence[Topic]) -> None:
        """Replace the settings of existing topics."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, t.name, t.settings()) for t in topics]
        answers = await call("change settings", self._timeout_ms, self._client.alter_configs(resources))
        for answer in answers:
            for code, message, _, name in answer.resources:
                if code != NO_ERROR:
                    raise Unavailable(f"change settings of topic {name}: Kafka's error {code} {message}")


@asynccontextmanager
async def open_admin(options: KafkaOptions) -> AsyncIterator[Admin]:
    """An admin connection. Raises Unavailable when no broker answers."""
    client = AIOKafkaAdminClient(
        bootstrap_servers=options.bootstrap,
        client_id=f"{options.client}-admin",
        request_timeout_ms=options.request_timeout_ms,
    )
    try:
        await call(f"connect to {options.bootstrap}", options.request_timeout_ms, client.start())
        yield Admin(client, options.request_timeout_ms)
    finally:
        await client.close()


async def create_topics(admin: Admin, wanted: Sequence[tuple[Topic, int]], replication: int) -> None:
    """Create what is missing and set what differs; never deletes and never changes a number of partitions."""
    existing = await admin.partitions([topic.name for topic, _ in wanted])
    missing = [(topic, count) for topic, count in wanted if topic.name not in existing]
    if missing:
        await admin.create(missing, replication)
        await _wait_until_visible(admin, [topic.name for topic, _ in missing])
    for topic, count in wanted:
        if existing.get(topic.name, count) != count:
            log.warning("partitions_differ", topic=topic.name, has=existing[topic.name], wanted=count)
    if existing:
        settings = await admin.settings(list(existing))
        changed = [t for t, _ in wanted if t.name in existing and not t.settings().items() <= settings[t.name].items()]
        if changed:
            await admin.set_settings(changed)


async def _wait_until_visible(admin: Admin, topics: Sequence[str]) -> None:
    """The controller creates topics; the brokers hear of it a moment later."""
    for _ in range(VISIBLE_ATTEMPTS):
        if len(await admin.partitions(topics)) == len(topics):
            return
        await asyncio.sleep(VISIBLE_DELAY_S)
    raise Unavailable(f"the brokers do not show the new topics {topics} yet")


async def partition_count(admin: Admin, topic: str) -> int:
    """How many partitions `topic` has; Unavailable when it does not exist."""
    found = await admin.partitions([topic])
    if topic not in found:
        raise Unavailable(f"topic {topic} does not exist: create the topics first")
    return found[topic]


async def max_message_bytes(options: KafkaOptions, topic: str) -> int:
    """The size limit of `topic`; Unavailable when it does not exist."""
    async with open_admin(options) as admin:
        await partition_count(admin, topic)
        settings = await admin.settings([topic])
        return int(settings[topic]["max.message.bytes"])
