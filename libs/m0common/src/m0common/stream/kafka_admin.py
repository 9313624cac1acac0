"""Topics of a Kafka cluster: look up, delete a prefix. Each use opens a short-lived connection."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import TopicPartition as KafkaPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete  # type: ignore[import-untyped]
from aiokafka.errors import PolicyViolationError  # type: ignore[import-untyped]

from m0common.errors import SettingsError, Unavailable
from m0common.stream.broker import TopicPartition
from m0common.stream.kafka_call import call
from m0common.stream.kafka_connect import connect
from m0common.stream.kafka_options import KafkaOptions

NO_ERROR = 0
TOPIC_AUTHORIZATION_FAILED = 29


class Admin:
    """An open admin connection."""

    def __init__(self, client: AIOKafkaAdminClient, options: KafkaOptions) -> None:
        self._client = client
        self._timeout_ms = options.request_timeout_ms
        self._user = options.security.username

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        """How many partitions each existing topic of `topics` has. Raises Unavailable for one that is not ours."""
        found = await call("describe topics", self._timeout_ms, self._client.describe_topics(list(topics)))
        for answer in found:
            if answer["error_code"] == TOPIC_AUTHORIZATION_FAILED:
                raise Unavailable(
                    f"topic {answer['topic']}: Kafka does not let {self._user or 'an anonymous client'} look at it: "
                    "`m0 topics apply` grants what each service needs"
                )
        return {t["topic"]: len(t["partitions"]) for t in found if t["error_code"] == NO_ERROR}

    async def cluster(self) -> str:
        """The id of the cluster."""
        found = await call("describe the cluster", self._timeout_ms, self._client.describe_cluster())
        return str(found["cluster_id"])

    async def delete_records(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Move the beginnings of partitions, to offsets that are present or the end.

        Raises SettingsError for a compacted topic.
        """
        if not offsets:
            return
        wanted = {KafkaPartition(*where): RecordsToDelete(before) for where, before in offsets.items()}
        try:
            await call("delete records", self._timeout_ms, self._client.delete_records(wanted, self._timeout_ms))
        except Unavailable as error:
            if isinstance(error.__cause__, PolicyViolationError):
                topics = sorted({where.topic for where in offsets})
                raise SettingsError(f"one of {topics} is compacted: it has no prefix to delete") from error
            raise


@asynccontextmanager
async def open_admin(options: KafkaOptions) -> AsyncIterator[Admin]:
    """An admin connection. Raises Unavailable when no broker answers."""
    client = AIOKafkaAdminClient(**options.connection())
    try:
        await connect(options, client.start())
        yield Admin(client, options)
    finally:
        await client.close()


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
