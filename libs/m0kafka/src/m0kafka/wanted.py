"""What a deployment wants of its cluster: the catalogue's topics with the deployment's settings, users and rights."""

from collections.abc import Sequence
from dataclasses import dataclass

from m0common.rights import Right, principals, rights
from m0common.settings import Kafka
from m0common.topics import HOUR_MS, TOPICS, Topic

DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Wanted:
    """`users` are those that have SCRAM passwords. Without `secured` nobody has rights, for everybody has all."""

    topics: Sequence[Topic]
    partitions: int
    replication: int = 1
    min_insync_replicas: int = 1
    users: tuple[str, ...] = ()
    rights: frozenset[Right] = frozenset()
    secured: bool = False

    @staticmethod
    def of(settings: Kafka) -> "Wanted":
        """What the settings ask for: users where clients log in by SCRAM, rights where they log in at all."""
        secured = settings.security_protocol.startswith("SASL_")
        scram = secured and settings.sasl_mechanism == "SCRAM-SHA-512"
        return Wanted(
            TOPICS,
            settings.partitions,
            settings.replication,
            settings.min_insync_replicas,
            principals(settings.signers) if scram else (),
            rights(settings.signers) if secured else frozenset(),
            secured,
        )

    def settings(self, topic: Topic) -> dict[str, str]:
        """The topic-level settings that are ours; an operator's others stay."""
        return topic.settings() | {"min.insync.replicas": str(self.min_insync_replicas)}

    def describe(self, topic: Topic) -> str:
        """A topic in one line, with the arithmetic of what it keeps."""
        count = topic.partitions(self.partitions)
        copies = f"{count} x {self.replication} = {count * self.replication} replicas of partitions"
        times = "append time" if topic.append_time else "writers' times"
        return f"{topic.name}: {copies}, {times}, {_kept(topic)}, a message of at most {topic.max_message_bytes} bytes"


def _kept(topic: Topic) -> str:
    if topic.compacted:
        return "the last message of each key"
    if topic.retention_ms < 0:
        return "kept until jobs delete what no checkpoint needs"
    unit_ms, name = (DAY_MS, "d") if topic.retention_ms % DAY_MS == 0 else (HOUR_MS, "h")
    return f"kept for {topic.retention_ms // unit_ms} {name} x {unit_ms} = {topic.retention_ms} ms"
