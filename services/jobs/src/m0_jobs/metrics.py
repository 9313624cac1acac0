"""What jobs counts."""

from prometheus_client import Counter, Gauge, Histogram

LEADER = Gauge("m0_jobs_leader", "1 while this process leads")
RUNS = Counter("m0_jobs_runs_total", "Runs of a job, by how they ended", ["job", "result"])
SECONDS = Histogram("m0_jobs_run_seconds", "How long a run of a job took", ["job"])
OUTCOMES = Counter("m0_jobs_outcomes_total", "Outcomes taken in: new, repeated, contradicting", ["kind"])
RESOLVED = Counter("m0_jobs_resolutions_total", "Markets dealt with, by result", ["result"])
CRANKED = Counter("m0_jobs_cranks_total", "Epochs cranked, by action and result", ["action", "result"])
SCORED = Counter("m0_jobs_scores_total", "Markets scored", ["catalog"])
DEAD_LETTERS = Counter("m0_jobs_dead_letters_total", "Messages that could not be processed", ["error"])
