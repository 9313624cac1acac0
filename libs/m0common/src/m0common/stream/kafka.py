"""Apache Kafka behind the broker port, through aiokafka.

    broker = KafkaBroker(KafkaOptions.of(settings.kafka, "normalize"))

Every operation has a time-out and raises Unavailable when it passes; nothing is silently skipped.
"""

from collections.abc import Sequence

from m0common.stream.kafka_admin import create_topics, open_admin, partition_count
from m0common.stream.kafka_consumer import KafkaConsumer
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.kafka_producer import KafkaProducer
from m0common.topics import Topic

__all__ = ["KafkaBroker", "KafkaOptions"]


class KafkaBroker:
    """See m0common.stream.broker.Broker."""

    def __init__(self, options: KafkaOptions) -> None:
        self.options = options

    def consumer(self, *, group: str | None = None, member: str | None = None) -> KafkaConsumer:
        """See Broker."""
        return KafkaConsumer(self.options, self.partitions, group, member)

    def producer(self) -> KafkaProducer:
        """See Broker."""
        return KafkaProducer(self.options)

    async def create_topics(self, topics: Sequence[Topic], group_partitions: int, catalog_partitions: int) -> None:
        """See Broker."""
        async with open_admin(self.options) as admin:
            wanted = [(topic, topic.partitions(group_partitions, catalog_partitions)) for topic in topics]
            await create_topics(admin, wanted, self.options.replication)

    async def partitions(self, topic: str) -> int:
        """See Broker."""
        async with open_admin(self.options) as admin:
            return await partition_count(admin, topic)

    async def close(self) -> None:
        """See Broker."""
