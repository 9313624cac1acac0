"""The topic catalogue: name, key, partitioning, retention, who writes and who reads.

The topic of a message is its version: a breaking change is a new topic.
"""

from dataclasses import dataclass, field

HOUR_MS = 3_600_000
MIB = 1 << 20

RAW_MAX_BYTES = 1 * MIB
"""The broker refuses a larger raw message to its sender."""
LARGE_MAX_BYTES = 8 * MIB


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `partitions` is `group` (as many as `m0.raw`), `catalog` (as configured) or `one`."""

    name: str
    key: str
    partitioned_by: str
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

    def partitions(self, group_partitions: int, catalog_partitions: int) -> int:
        """How many partitions it has in a deployment."""
        return {"group": group_partitions, "catalog": catalog_partitions, "one": 1}[self.partitioned_by]


RAW = Topic("m0.raw.v1", "group", "group", ("ingest",), ("normalize", "signer"))
NORMALIZED = Topic("m0.normalized.v1", "group", "group", ("normalize",), ("feature", "monitor"))
FEATURES = Topic("m0.features.v1", "group", "group", ("feature",), ("model",))
PREDICTIONS = Topic("m0.predictions.v1", "catalog", "catalog", ("model",), ("bundle", "signer", "realtime", "monitor"))
CHECKPOINTS = Topic(
    "m0.checkpoints.v1",
    "stage:partition:catalog",
    "group",
    ("normalize", "feature", "model", "bundle"),
    ("normalize", "feature", "model", "bundle", "signer"),
    compacted=True,
    max_message_bytes=LARGE_MAX_BYTES,
    # an epoch younger than this can be replayed from the checkpoint before it; older ones from the beginning
    config={"min.compaction.lag.ms": str(HOUR_MS // 2), "segment.ms": "600000"},
)
BUNDLES = Topic(
    "m0.bundles.v1", "catalog", "catalog", ("bundle",), ("signer", "indexer"), max_message_bytes=LARGE_MAX_BYTES
)
SUBMISSIONS = Topic("m0.submissions.v1", "catalog:epoch", "catalog", ("signer",), ("indexer", "monitor"))
FINALIZED_EPOCHS = Topic("m0.finalized.epochs.v1", "catalog", "catalog", ("indexer",), ("api", "realtime", "jobs"))
FINALIZED_PREDICTIONS = Topic(
    "m0.finalized.predictions.v1", "market", "catalog", ("indexer",), ("api", "realtime", "jobs")
)
OUTCOMES = Topic("m0.outcomes.v1", "market", "catalog", ("ingest", "jobs"), ("jobs",))
REGISTRY = Topic(
    "m0.registry.v1", "market or catalog", "one", ("indexer",), ("ingest", "api", "realtime"), compacted=True
)
ALERTS = Topic("m0.alerts.v1", "rule:market", "one", ("monitor",), ("api", "realtime"))
REALTIME_ANCHORS = Topic(
    "m0.realtime.anchors.v1",
    "topic:partition",
    "one",
    ("realtime",),
    ("realtime",),
    compacted=True,
    max_message_bytes=LARGE_MAX_BYTES,
)
DLQ = Topic("m0.dlq.v1", "origin topic", "one", ("any",), ("jobs", "operator"), max_message_bytes=2 * MIB)

TOPICS: tuple[Topic, ...] = (
    RAW,
    NORMALIZED,
    FEATURES,
    PREDICTIONS,
    CHECKPOINTS,
    BUNDLES,
    SUBMISSIONS,
    FINALIZED_EPOCHS,
    FINALIZED_PREDICTIONS,
    OUTCOMES,
    REGISTRY,
    ALERTS,
    REALTIME_ANCHORS,
    DLQ,
)
BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}
