"""What jobs counts."""

from typing import Final

from m0common.telemetry.definition import BOOLEAN, Label
from m0common.telemetry.labels import CATALOG, ERROR, TOPIC
from m0common.telemetry.metrics import counter, gauge, seconds

TASK: Final = Label("task", among=("resolve", "crank", "score", "trim"))

LEADER: Final = gauge("m0_jobs_leader", BOOLEAN, "1 while this process leads.")
RUNS: Final = counter(
    "m0_jobs_runs_total", "runs", "Runs of a task, by how they ended; `failed` ones are tried again.",
    TASK, Label("result", among=("done", "failed", "crashed", "cut_off")), failures=("failed", "crashed"),
)  # fmt: skip
SECONDS: Final = seconds("m0_jobs_run_seconds", "How long a run of a task took.", TASK)
OUTCOMES: Final = counter(
    "m0_jobs_outcomes_total", "outcomes", "Outcomes taken in; a contradicting one comes after its market was resolved.",
    Label("kind", among=("new", "repeated", "corrected", "contradicting")), failures=("contradicting",),
)  # fmt: skip
RESOLVED: Final = counter(
    "m0_jobs_resolutions_total", "resolutions", "Markets looked at that were due, by what came of it.",
    Label(
        "result",
        among=("resolved", "absent", "done", "early", "state", "race", "retried", "contradicts", "invalid", "failed"),
    ),
    failures=("retried", "contradicts", "invalid", "failed"),
)  # fmt: skip
UNRESOLVED: Final = gauge(
    "m0_jobs_unresolved_markets", "markets",
    "Markets that are due and not resolved, the oldest 10,000; `unknown` ones have no outcome yet.",
    Label("outcome", among=("unknown", "known")),
)  # fmt: skip
CRANKED: Final = counter(
    "m0_jobs_cranks_total", "cranks", "Epochs cranked; `raced` when somebody else was quicker.",
    Label("action", among=("finalize", "expire", "close")), Label("result", among=("landed", "raced", "failed")),
    failures=("failed",),
)  # fmt: skip
SCORED: Final = counter("m0_jobs_scored_markets_total", "markets", "Markets scored.", CATALOG)
UNSCORABLE: Final = counter(
    "m0_jobs_unscorable_markets_total", "markets", "Markets looked at whose last prediction cannot be scored.", ERROR,
    failures=True,
)  # fmt: skip
DEAD_LETTERS: Final = counter(
    "m0_jobs_dead_letters_total", "letters", "Outcomes that could not be taken in, by what was wrong.", ERROR,
    failures=True,
)  # fmt: skip
TRIMMED: Final = counter(
    "m0_jobs_trimmed_records_total", "records", "Offsets cut off the front of the lanes' state.", TOPIC
)
STATE_RECORDS: Final = gauge(
    "m0_jobs_state_records", "records", "Offsets between beginning and end of the lanes' state.", TOPIC
)
CARRIED: Final = counter(
    "m0_jobs_carried_lanes_total", "lanes", "Lanes that stood still and were copied to the end of the log."
)
HELD_PARTITIONS: Final = gauge(
    "m0_jobs_held_partitions", "partitions",
    "Partitions of which nothing is cut: the newest state of a lane does not restore.",
)  # fmt: skip
ARCHIVED_RECORDS: Final = counter("m0_jobs_archived_records_total", "records", "Records of the log that were archived.")
ARCHIVED_BYTES: Final = counter("m0_jobs_archived_bytes_total", "bytes", "What they took in the archive, compressed.")
ARCHIVE_LAG: Final = gauge(
    "m0_jobs_archive_lag_seconds", "seconds",
    "How long the oldest record that is not archived has been in the log. What tells of an epoch waits for its end.",
    TOPIC,
)  # fmt: skip
ARCHIVE_LACKS: Final = gauge(
    "m0_jobs_archive_lacking_offsets", "offsets", "Offsets that Kafka had forgotten before they were archived."
)
ARCHIVE_FAILURES: Final = counter(
    "m0_jobs_archive_failures_total",
    "failures",
    "Rounds of archiving that failed; the next one goes on.",
    failures=True,
)
TRIM_FAILURES: Final = counter(
    "m0_jobs_trim_failures_total", "failures",
    "Manifests that nobody can use: unreadable, of a life that nobody began, of a state that does not restore.",
    Label("reason", among=("unreadable", "no_life", "not_restored")), failures=True,
)  # fmt: skip
