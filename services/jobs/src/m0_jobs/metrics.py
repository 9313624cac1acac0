"""What jobs counts."""

from prometheus_client import Counter, Gauge, Histogram

LEADER = Gauge("m0_jobs_leader", "1 while this process leads")
RUNS = Counter("m0_jobs_runs_total", "Runs of a job, by how they ended", ["job", "result"])
SECONDS = Histogram("m0_jobs_run_seconds", "How long a run of a job took", ["job"])
OUTCOMES = Counter("m0_jobs_outcomes_total", "Outcomes taken in: new, repeated, corrected, contradicting", ["kind"])
RESOLVED = Counter("m0_jobs_resolutions_total", "Markets dealt with, by result", ["result"])
CRANKED = Counter("m0_jobs_cranks_total", "Epochs cranked, by action and result", ["action", "result"])
SCORED = Counter("m0_jobs_scores_total", "Markets scored", ["catalog"])
DEAD_LETTERS = Counter("m0_jobs_dead_letters_total", "Messages that could not be processed", ["error"])
TRIMMED = Counter("m0_jobs_trimmed_records_total", "Offsets cut off the front of the lanes' state", ["topic"])
STATE_RECORDS = Gauge("m0_jobs_state_records", "Offsets between beginning and end of the lanes' state", ["topic"])
CARRIED = Counter("m0_jobs_carried_lanes_total", "Lanes that stood still and were copied to the end of the log")
HELD_PARTITIONS = Gauge(
    "m0_jobs_held_partitions", "Partitions of which nothing is cut: the newest state of a lane does not restore"
)
TRIM_FAILURES = Counter(
    "m0_jobs_trim_failures_total",
    "Manifests that nobody can use: unreadable, of a life that nobody began, of a state that does not restore",
    ["reason"],
)  # fmt: skip
