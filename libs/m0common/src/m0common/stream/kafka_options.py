"""How this process talks to Kafka: the one place from which every client gets its address, user and time-outs."""

from dataclasses import dataclass
from typing import Any, Literal

from m0common.settings import Kafka
from m0common.stream.kafka_security import ANONYMOUS, Security


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """Addresses, who this is, and time-outs, all in milliseconds."""

    bootstrap: str
    client: str = "m0"
    """How the broker's logs and metrics name this process."""
    security: Security = ANONYMOUS
    session_timeout_ms: int = 6000
    """A consumer that was killed loses its partitions after this; a static member that is back earlier keeps them."""
    rebalance_timeout_ms: int = 30_000
    """How long a rebalance waits for a member that is still busy with its batch."""
    request_timeout_ms: int = 10_000
    send_timeout_ms: int = 15_000
    """After this a send is uncertain: Unavailable."""
    fetch_wait_ms: int = 500
    """The long poll of an idle consumer; new messages are delivered at once all the same."""
    compression: Literal["lz4"] | None = None
    restored_ends: tuple[int, ...] = ()
    """By partition, below which offset of a topic of append times records bear the times they were restored with."""

    @staticmethod
    def of(settings: Kafka, client: str) -> "KafkaOptions":
        """The options that the settings file asks for."""
        return KafkaOptions(
            bootstrap=settings.bootstrap,
            client=client,
            security=Security.of(settings),
            session_timeout_ms=settings.session_timeout_ms,
            request_timeout_ms=settings.request_timeout_ms,
            send_timeout_ms=settings.request_timeout_ms * 3 // 2,
            restored_ends=settings.restored_ends,
        )

    def connection(self) -> dict[str, Any]:
        """What every aiokafka client takes (its arguments are untyped, hence Any); see `Security.for_aiokafka`."""
        return {
            "bootstrap_servers": self.bootstrap,
            "client_id": self.client,
            "request_timeout_ms": self.request_timeout_ms,
            "retry_backoff_ms": 100,
            "metadata_max_age_ms": 60_000,
            **self.security.for_aiokafka(),
        }

    def for_librdkafka(self) -> dict[str, str | int]:
        """What every client built on librdkafka takes. Raises Unavailable when the password's file cannot be read."""
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": self.client,
            "socket.timeout.ms": self.request_timeout_ms,
            **self.security.for_librdkafka(),
        }
