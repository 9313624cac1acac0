"""Apache Kafka behind the broker port, through aiokafka.

    broker = KafkaBroker(KafkaOptions.of(settings.kafka, "normalize"))

Every operation has a time-out and raises Unavailable when it passes; nothing is silently skipped.
"""

from collections.abc import Collection, Mapping, Sequence

from m0common.stream.broker import APPEND_TIME, TopicPartition
from m0common.stream.kafka_admin import open_admin, partition_count, refuse_missing
from m0common.stream.kafka_bounds import bounds
from m0common.stream.kafka_consumer import KafkaConsumer
from m0common.stream.kafka_options import KafkaOptions
from m0common.stream.kafka_producer import KafkaProducer
from m0common.stream.kafka_transactions import KafkaTransactions
from m0common.topics import BY_NAME, Topic

__all__ = ["KafkaBroker", "KafkaOptions"]


class KafkaBroker:
    """See m0common.stream.broker.Broker. `append_time` names the topics whose records must bear append times,
    `catalogue` says by name what topics take.
    """

    def __init__(
        self,
        options: KafkaOptions,
        append_time: Collection[str] = APPEND_TIME,
        catalogue: Mapping[str, Topic] = BY_NAME,
    ) -> None:
        self.options = options
        self._append_time = append_time
        self._catalogue = catalogue

    def consumer(
        self, *, group: str | None = None, member: str | None = None, allow_create_time: bool = False
    ) -> KafkaConsumer:
        """See Broker."""
        append_time = frozenset() if allow_create_time else self._append_time
        return KafkaConsumer(self.options, self.partitions, group, member, append_time)

    def producer(self) -> KafkaProducer:
        """See Broker."""
        return KafkaProducer(self.options, self._catalogue)

    def transactions(self, name: str) -> KafkaTransactions:
        """See Broker."""
        return KafkaTransactions(self.options, name, self._catalogue)

    async def delete_before(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See Broker."""
        async with open_admin(self.options) as admin:
            await refuse_missing(admin, offsets)
            present = await bounds(self.options, sorted(offsets))
            wanted = {where: min(before, present[where].end) for where, before in offsets.items()}
            await admin.delete_records({w: before for w, before in wanted.items() if before > present[w].begin})

    async def cluster(self) -> str:
        """See Broker."""
        async with open_admin(self.options) as admin:
            return await admin.cluster()

    async def watermarks(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """See Broker."""
        return {where: found.end for where, found in (await bounds(self.options, partitions)).items()}

    async def partitions(self, topic: str) -> int:
        """See Broker."""
        async with open_admin(self.options) as admin:
            return await partition_count(admin, topic)

    async def close(self) -> None:
        """See Broker."""
