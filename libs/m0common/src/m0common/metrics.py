"""What every process counts."""

from typing import Final

from m0common.telemetry.definition import BOOLEAN, Label
from m0common.telemetry.metrics import counter, gauge

SIDE_FAILURES: Final = counter(
    "m0_side_task_failures_total", "failures", "Times a task that may fail alone has failed.",
    Label("task", at_most=64), failures=True,
)  # fmt: skip
BUILD: Final = gauge(
    "m0_process_build", BOOLEAN, "1: which process this is, and the version of it that runs.",
    Label("service", at_most=64), Label("version", at_most=16),
)  # fmt: skip
