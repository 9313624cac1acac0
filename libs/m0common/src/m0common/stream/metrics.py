"""Every metric of the stream loops: name, meaning, labels. Nothing else in the project makes up stream metric names."""

from typing import Final, Literal

from prometheus_client import Counter, Gauge, Histogram

Name = Literal[
    "m0_stage_messages_in_total",
    "m0_stage_messages_out_total",
    "m0_stage_dead_letters_total",
    "m0_stage_lag_messages",
    "m0_stage_batch_seconds",
    "m0_stage_commit_seconds",
    "m0_stage_checkpoints_total",
    "m0_stage_checkpoint_bytes_total",
    "m0_stage_parked_lanes",
    "m0_stage_unmanned_lanes",
    "m0_stage_dropped_total",
    "m0_stage_unavailable_total",
    "m0_stage_rebalances_total",
    "m0_stage_stuck_total",
    "m0_stage_gaps_total",
]

MEANINGS: Final[dict[Name, str]] = {
    "m0_stage_messages_in_total": "Messages read, repeats after a restart included.",
    "m0_stage_messages_out_total": "Messages written and acknowledged.",
    "m0_stage_dead_letters_total": "Messages that could not be processed, by error class.",
    "m0_stage_lag_messages": "Messages of a partition that are not read yet.",
    "m0_stage_batch_seconds": "From a poll's return until all outputs of the batch are acknowledged.",
    "m0_stage_commit_seconds": "Duration of an offset commit.",
    "m0_stage_checkpoints_total": "Lane checkpoints written and acknowledged.",
    "m0_stage_checkpoint_bytes_total": "Bytes of lane state written to checkpoints.",
    "m0_stage_parked_lanes": "Lanes that cannot go on; readiness names the reason.",
    "m0_stage_unmanned_lanes": "Lanes passed over here that nobody else runs; readiness names what to install.",
    "m0_stage_dropped_total": "Records dropped as ordinary, by source (of the catalog, or others) and reason.",
    "m0_stage_unavailable_total": "Times the broker did not answer and the stage tried again.",
    "m0_stage_rebalances_total": "Times partitions were assigned to this process.",
    "m0_stage_gaps_total": "Times the log no longer held what comes next, and the loop went on behind the gap.",
    "m0_stage_stuck_total": "Times the watchdog found the event loop or the stage without progress.",
}

BATCH_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def _counter(name: Name, *labels: str) -> Counter:
    return Counter(name, MEANINGS[name], ("stage", *labels))


def _histogram(name: Name) -> Histogram:
    return Histogram(name, MEANINGS[name], ("stage",), buckets=BATCH_BUCKETS)


MESSAGES_IN = _counter("m0_stage_messages_in_total")
MESSAGES_OUT = _counter("m0_stage_messages_out_total")
DEAD_LETTERS = _counter("m0_stage_dead_letters_total", "error")
LAG = Gauge("m0_stage_lag_messages", MEANINGS["m0_stage_lag_messages"], ("stage", "topic", "partition"))
BATCH_SECONDS = _histogram("m0_stage_batch_seconds")
COMMIT_SECONDS = _histogram("m0_stage_commit_seconds")
CHECKPOINTS = _counter("m0_stage_checkpoints_total")
CHECKPOINT_BYTES = _counter("m0_stage_checkpoint_bytes_total")
PARKED = Gauge("m0_stage_parked_lanes", MEANINGS["m0_stage_parked_lanes"], ("stage",))
UNMANNED = Gauge("m0_stage_unmanned_lanes", MEANINGS["m0_stage_unmanned_lanes"], ("stage",))
DROPPED = _counter("m0_stage_dropped_total", "source", "reason")
UNAVAILABLE = _counter("m0_stage_unavailable_total")
REBALANCES = _counter("m0_stage_rebalances_total")
STUCK = _counter("m0_stage_stuck_total")
GAPS = _counter("m0_stage_gaps_total")


class StageMetrics:
    """The metrics of one stage, with its name filled in."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.messages_in = MESSAGES_IN.labels(stage)
        self.messages_out = MESSAGES_OUT.labels(stage)
        self.batch_seconds = BATCH_SECONDS.labels(stage)
        self.commit_seconds = COMMIT_SECONDS.labels(stage)
        self.checkpoints = CHECKPOINTS.labels(stage)
        self.checkpoint_bytes = CHECKPOINT_BYTES.labels(stage)
        self.parked = PARKED.labels(stage)
        self.unmanned = UNMANNED.labels(stage)
        self.unavailable = UNAVAILABLE.labels(stage)
        self.rebalances = REBALANCES.labels(stage)
        self.stuck = STUCK.labels(stage)
        self.gaps = GAPS.labels(stage)

    def dead_letter(self, error: str) -> None:
        """Count one dead letter of an error class."""
        DEAD_LETTERS.labels(self.stage, error).inc()

    def drop(self, source: str, reason: str, count: int) -> None:
        """Count records of a source that were dropped as ordinary."""
        DROPPED.labels(self.stage, source, reason).inc(count)

    def lag(self, topic: str, partition: int, messages: int) -> None:
        """Set how many messages of a partition are not read yet."""
        LAG.labels(self.stage, topic, str(partition)).set(messages)

    def forget_lag(self, topic: str, partition: int) -> None:
        """Stop reporting a partition that belongs to another process now."""
        LAG.remove(self.stage, topic, str(partition))
