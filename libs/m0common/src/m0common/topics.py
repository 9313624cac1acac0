"""The topic catalogue: name, key, partitioning, retention, who writes and who reads.

The topic of a message is its version: a breaking change is a new topic. Every topic has as many partitions as the
deployment (`count`, fixed for its life) or one.
"""

from dataclasses import dataclass, field
from typing import Literal

from m0common.messages.raw import RAW_MAX_BYTES

HOUR_MS = 3_600_000
KIB = 1 << 10
MIB = 1 << 20
FOR_EVER = -1

ONCE_MAX_BYTES = 256 * KIB
"""No value of state and bodies is larger."""

PartitionedBy = Literal["group", "catalog", "market", "one", "origin"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `partitioned_by` says whose murmur2 decides the partition; `one` means that there is only one."""

    name: str
    key: str
    partitioned_by: PartitionedBy
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    compacted: bool = False
    retention_ms: int = 7 * 24 * HOUR_MS
    max_message_bytes: int = RAW_MAX_BYTES
    config: dict[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, str]:
        """Kafka's topic-level settings."""
        settings = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "max.message.bytes": str(self.max_message_bytes),
            "compression.type": "producer",
        }
        if not self.compacted:
            settings["retention.ms"] = str(self.retention_ms)
        return settings | self.config

    def partitions(self, count: int) -> int:
        """How many partitions it has in a deployment of `count`."""
        return 1 if self.partitioned_by == "one" else count

    @property
    def append_time(self) -> bool:
        """Its records bear the broker's time of appending them, not a time of their writer's choice."""
        return self.config.get("message.timestamp.type") == "LogAppendTime"


RAW = Topic(
    "m0.raw.v1",
    "group",
    "group",
    ("ingest", "m0 catalog", "m0 lane"),
    ("normalize", "signer", "ingest", "jobs"),
    config={"message.timestamp.type": "LogAppendTime"},
)
NORMALIZED = Topic("m0.normalized.v1", "group", "group", ("normalize",), ("feature", "monitor"))
FEATURES = Topic("m0.features.v1", "group", "group", ("feature",), ("model",))
PREDICTIONS = Topic("m0.predictions.v1", "catalog", "catalog", ("model",), ("bundle", "signer", "monitor"))
PROVISIONAL_ROWS = Topic("m0.provisional.rows.v1", "market", "group", ("feature",), ("model",), retention_ms=HOUR_MS)
PROVISIONAL = Topic(
    "m0.provisional.v1", "market", "group", ("model",), ("indexer", "realtime", "monitor"), retention_ms=HOUR_MS
)

_STATE_READERS = ("jobs", "m0 lane", "replay", "signer")
_STAGES: tuple[tuple[int, str, PartitionedBy], ...] = (
    (1, "normalize", "group"),
    (2, "feature", "group"),
    (3, "model", "group"),
    (4, "bundle", "catalog"),
)
STATE: dict[int, Topic] = {
    number: Topic(f"m0.state.{stage}.v1", "lane", by, (stage, "jobs"), (stage, *_STATE_READERS), retention_ms=FOR_EVER)
    for number, stage, by in _STAGES
}
"""State of lanes by stage number: append-only, its prefix is trimmed by jobs."""
MANIFESTS = Topic(
    "m0.manifests.v1",
    "lane",
    "group",
    ("normalize", "feature", "model", "bundle", "jobs"),
    ("normalize", "feature", "model", "bundle", *_STATE_READERS),
    retention_ms=FOR_EVER,
)
HEADERS = Topic("m0.headers.v1", "catalog", "catalog", ("bundle",), ("signer", "indexer", "jobs"))
BUNDLES = Topic("m0.bundles.v1", "catalog", "catalog", ("bundle", "signer"), ("indexer", "jobs"))
SUBMISSIONS = Topic("m0.submissions.v1", "catalog:epoch", "one", ("signer",), ("signer", "indexer", "monitor"))
FINALIZED_EPOCHS = Topic("m0.finalized.epochs.v1", "catalog", "catalog", ("indexer",), ("api", "realtime", "jobs"))
FINALIZED_PREDICTIONS = Topic(
    "m0.finalized.predictions.v1", "market", "catalog", ("indexer",), ("api", "realtime", "jobs")
)
OUTCOMES = Topic("m0.outcomes.v1", "market", "catalog", ("ingest", "jobs"), ("jobs",))
REGISTRY = Topic(
    "m0.registry.v1", "market or catalog", "one", ("indexer",), ("ingest", "indexer", "api", "realtime"), compacted=True
)
ALERTS = Topic("m0.alerts.v1", "rule:market", "one", ("monitor",), ("api", "realtime"))
REALTIME_ANCHORS = Topic(
    "m0.realtime.anchors.v1",
    "topic:partition",
    "one",
    ("realtime",),
    ("realtime",),
    compacted=True,
    max_message_bytes=8 * MIB,
)
CURSORS = Topic("m0.cursors.v1", "connector", "one", ("ingest",), ("ingest", "jobs", "operator"), compacted=True)
"""How far connectors are whose own newest record in `m0.raw` does not say it, and which sets are in force: an empty
value takes a key back.
"""
DLQ = Topic("m0.dlq.v1", "topic:partition:offset", "origin", ("any",), ("jobs", "operator"))

TOPICS: tuple[Topic, ...] = (
    RAW,
    NORMALIZED,
    FEATURES,
    PREDICTIONS,
    PROVISIONAL_ROWS,
    PROVISIONAL,
    *STATE.values(),
    MANIFESTS,
    HEADERS,
    BUNDLES,
    SUBMISSIONS,
    FINALIZED_EPOCHS,
    FINALIZED_PREDICTIONS,
    OUTCOMES,
    REGISTRY,
    ALERTS,
    REALTIME_ANCHORS,
    CURSORS,
    DLQ,
)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
