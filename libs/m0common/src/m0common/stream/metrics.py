"""What the stage loops, and all readers of topics, count and measure."""

from typing import Final

from m0common.telemetry.definition import Label
from m0common.telemetry.labels import ERROR, PARTITION, SOURCE, STAGE, TOPIC
from m0common.telemetry.metrics import counter, gauge, seconds

MESSAGES_IN: Final = counter(
    "m0_stage_read_messages_total", "messages", "Messages read, repeats after a restart included.", STAGE
)
MESSAGES_OUT: Final = counter(
    "m0_stage_written_messages_total", "messages", "Messages written and acknowledged.", STAGE
)  # fmt: skip
DEAD_LETTERS: Final = counter(
    "m0_stage_dead_letters_total", "letters", "Messages that could not be processed, by what was wrong.",
    STAGE, ERROR, failures=True,
)  # fmt: skip
LAG: Final = gauge(
    "m0_stage_lag_messages", "messages", "Messages of a partition that are not read yet.", STAGE, TOPIC, PARTITION
)
BATCH_SECONDS: Final = seconds(
    "m0_stage_batch_seconds", "From a poll's return until all outputs of the batch are acknowledged.", STAGE
)
COMMIT_SECONDS: Final = seconds("m0_stage_commit_seconds", "Duration of an offset commit.", STAGE)
CHECKPOINTS: Final = counter(
    "m0_stage_checkpoints_total", "checkpoints", "Lane checkpoints written and acknowledged.", STAGE
)
CHECKPOINT_BYTES: Final = counter(
    "m0_stage_checkpoint_bytes_total", "bytes", "Lane state written to checkpoints.", STAGE
)  # fmt: skip
PARKED: Final = gauge(
    "m0_stage_parked_lanes", "lanes", "Lanes that cannot go on; readiness names the reason.", STAGE
)  # fmt: skip
UNMANNED: Final = gauge(
    "m0_stage_unmanned_lanes", "lanes", "Lanes passed over here that nobody else runs; readiness says what to install.",
    STAGE,
)  # fmt: skip
DROPPED: Final = counter(
    "m0_stage_dropped_records_total", "records", "Records dropped as ordinary: `source` is one that the catalog lists.",
    STAGE, SOURCE, Label("reason", at_most=32),
)  # fmt: skip
UNAVAILABLE: Final = counter(
    "m0_stage_broker_retries_total", "retries", "Times the broker did not answer and the stage tried again.", STAGE,
    failures=True,
)  # fmt: skip
REBALANCES: Final = counter(
    "m0_stage_rebalances_total", "rebalances", "Times partitions were assigned to this process.", STAGE
)
STUCK: Final = counter(
    "m0_stage_stalls_total", "stalls", "Times the watchdog found the event loop or the stage without progress.", STAGE,
    failures=True,
)  # fmt: skip
GAPS: Final = counter(
    "m0_stage_gaps_total", "gaps", "Times the log no longer held what comes next, and the loop went on behind the gap.",
    STAGE, failures=True,
)  # fmt: skip


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
        LAG.forget(self.stage, topic, str(partition))
