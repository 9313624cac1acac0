"""Topics of a Kafka cluster: create, look up, adjust settings. Each use opens a short-lived connection."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import TopicPartition as KafkaPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]
from aiokafka.errors import PolicyViolationError  # type: ignore[import-untyped]

from m0common.errors import SettingsError, Unavailable
from m0common.stream.broker import TopicPartition
from m0common.stream.kafka_call import call
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.partition import refuse_other_count
from m0common.topics import Topic

NO_ERROR = 0
TOPIC_OVERRIDE = 1
"""Where a setting comes from: the topic itself, not a default of the broker."""
TOPIC_ALREADY_EXISTS = 36
VISIBLE_ATTEMPTS = 100
VISIBLE_DELAY_S = 0.1


class TopicSettings(NamedTuple):
    """Settings of a topic: what is in effect, and what of it was set on the topic itself."""

    effective: dict[str, str]
    overrides: dict[str, str]


class Admin:
    """An open admin connection."""

    def __init__(self, client: AIOKafkaAdminClient, timeout_ms: int) -> None:
        self._client = client
        self._timeout_ms = timeout_ms

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        """How many partitions each existing topic of `topics` has."""
        found = await call("describe topics", self._timeout_ms, self._client.describe_topics(list(topics)))
        return {t["topic"]: len(t["partitions"]) for t in found if t["error_code"] == NO_ERROR}

    async def settings(self, topics: Sequence[str]) -> dict[str, TopicSettings]:
        """The settings of existing topics."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        answers = await call("describe settings", self._timeout_ms, self._client.describe_configs(resources))
        return {
            name: TopicSettings(
                {key: value for key, value, *_ in entries},
                {key: value for key, value, _, source, *_ in entries if source == TOPIC_OVERRIDE},
            )
            for answer in answers
            for code, _, _, name, entries in answer.resources
            if code == NO_ERROR
        }

    async def create(self, topics: Sequence[tuple[Topic, int]], replication: int) -> None:
        """Create topics that do not exist; one that somebody else creates meanwhile is fine."""
        new = [NewTopic(t.name, count, replication, topic_configs=t.settings()) for t, count in topics]
        answer = await call("create topics", self._timeout_ms, self._client.create_topics(new))
        for name, code, *message in answer.topic_errors:
            if code not in (NO_ERROR, TOPIC_ALREADY_EXISTS):
                raise Unavailable(f"create topic {name}: Kafka's error {code} {message}")

    async def replace_overrides(self, overrides: Mapping[str, Mapping[str, str]]) -> None:
        """Replace all that is set on existing topics: what is left out goes back to the broker's default."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, dict(all_)) for name, all_ in overrides.items()]
        answers = await call("change settings", self._timeout_ms, self._client.alter_configs(resources))
        for answer in answers:
            for code, message, _, name in answer.resources:
                if code != NO_ERROR:
                    raise Unavailable(f"change settings of topic {name}: Kafka's error {code} {message}")

    async def delete_records(self, positions: Mapping[TopicPartition, int]) -> None:
        """Move the beginnings of partitions, to offsets that are present or the end.

        Raises SettingsError for a compacted topic.
        """
        if not positions:
            return
        wanted = {KafkaPartition(*where): RecordsToDelete(before) for where, before in positions.items()}
        try:
            await call("delete records", self._timeout_ms, self._client.delete_records(wanted, self._timeout_ms))
        except Unavailable as error:
            if isinstance(error.__cause__, PolicyViolationError):
                topics = sorted({where.topic for where in positions})
                raise SettingsError(f"one of {topics} is compacted: it has no prefix to delete") from error
            raise


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


async def create_topics(admin: Admin, topics: Sequence[Topic], partitions: int, replication: int) -> None:
    """Create what is missing and set what differs from the catalogue; what an operator set beside it stays.

    Never deletes. Raises SettingsError, before anything is changed, when a topic has another number of partitions.
    """
    existing = await admin.partitions([topic.name for topic in topics])
    _refuse_other_counts(topics, existing, partitions)
    missing = [topic for topic in topics if topic.name not in existing]
    if missing:
        await admin.create([(topic, topic.partitions(partitions)) for topic in missing], replication)
        await _wait_until_visible(admin, [topic.name for topic in missing])
        # somebody else may have been quicker
        _refuse_other_counts(missing, await admin.partitions([topic.name for topic in missing]), partitions)
    if existing:
        found = await admin.settings(list(existing))
        changed = {
            topic.name: found[topic.name].overrides | topic.settings()
            for topic in topics
            if topic.name in found and not topic.settings().items() <= found[topic.name].effective.items()
        }
        if changed:
            await admin.replace_overrides(changed)


def _refuse_other_counts(topics: Sequence[Topic], counts: Mapping[str, int], partitions: int) -> None:
    for topic in topics:
        if topic.name in counts:
            refuse_other_count(topic, counts[topic.name], partitions)


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


async def refuse_missing(admin: Admin, partitions: Iterable[TopicPartition]) -> None:
    """Raise Unavailable, naming it, for a partition that does not exist."""
    wanted = sorted(partitions)
    counts = {topic: await partition_count(admin, topic) for topic in sorted({where.topic for where in wanted})}
    for topic, partition in wanted:
        if not 0 <= partition < counts[topic]:
            raise Unavailable(f"topic {topic} has {counts[topic]} partitions: {partition} does not exist")


async def max_message_bytes(options: KafkaOptions, topic: str) -> int:
    """The size limit of `topic`; Unavailable when it does not exist."""
    async with open_admin(options) as admin:
        await partition_count(admin, topic)
        settings = await admin.settings([topic])
        return int(settings[topic].effective["max.message.bytes"])
