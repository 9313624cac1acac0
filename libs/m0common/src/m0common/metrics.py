"""What every process counts."""

from typing import Final

from m0common.telemetry.definition import Label
from m0common.telemetry.metrics import counter

SIDE_FAILURES: Final = counter(
    "m0_side_task_failures_total", "failures", "Times a task that may fail alone has failed.",
    Label("task", at_most=64), failures=True,
)  # fmt: skip
