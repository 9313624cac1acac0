"""The supervisor of the stack: `python -m m0local.supervise -c FILE` runs supervisord with three differences.

It never gives up on a process and waits at most five seconds between attempts; it counts how often each process was
started again after dying, readable over its RPC as `m0.restarts`; and a disk that is full costs lines of logs, nothing
else.
"""

import sys
import time
from pathlib import Path
from typing import Any

from supervisor import loggers  # type: ignore[import-untyped]
from supervisor.options import ProcessConfig, ServerOptions  # type: ignore[import-untyped]
from supervisor.process import Subprocess  # type: ignore[import-untyped]
from supervisor.states import ProcessStates  # type: ignore[import-untyped]
from supervisor.supervisord import Supervisor  # type: ignore[import-untyped]

MAX_BACKOFF_S = 5


class PatientLog(loggers.RotatingFileHandler):  # type: ignore[misc]  # supervisor has no type information
    """A log file that drops what the disk has no room for and goes on when there is room again."""

    stream: Any  # a binary file

    def emit(self, record: Any) -> None:
        try:
            if self.stream.closed:  # the disk was full in the middle of a rotation
                self.stream = Path(self.baseFilename).open(self.mode)  # noqa: SIM115 - it stays open
            super().emit(record)
        except OSError:
            return

    def handleError(self) -> None:  # noqa: N802 - the name is supervisor's
        """Nothing: its own way is to print, which fails on a full disk too and ends the supervisor."""


class PatientProcess(Subprocess):  # type: ignore[misc]  # supervisor has no type information
    """A process that is always started again."""

    restarts = 0
    backoff: int
    delay: float

    def finish(self, pid: int, sts: int) -> None:
        asked_for = self.killing
        super().finish(pid, sts)
        if not asked_for:
            self.restarts += 1

    def change_state(self, new_state: int, expected: bool = True) -> None:
        super().change_state(new_state, expected)
        if new_state == ProcessStates.BACKOFF:
            self.backoff = min(self.backoff, MAX_BACKOFF_S)
            self.delay = min(self.delay, time.time() + MAX_BACKOFF_S)


class PatientProcessConfig(ProcessConfig):  # type: ignore[misc]  # supervisor has no type information
    """Makes patient processes."""

    def make_process(self, group: Any = None) -> PatientProcess:
        self.create_autochildlogs()
        process = PatientProcess(self)
        process.group = group
        return process


class Options(ServerOptions):  # type: ignore[misc]  # supervisor has no type information
    """Reads the configuration into patient processes."""

    def processes_from_section(self, parser: Any, section: str, group_name: str, klass: Any = None) -> Any:
        return super().processes_from_section(
            parser, section, group_name, PatientProcessConfig if klass in (None, ProcessConfig) else klass
        )


class RestartCounts:
    """RPC namespace `m0`."""

    def __init__(self, supervisord: Supervisor) -> None:
        self.supervisord = supervisord

    def restarts(self) -> dict[str, int]:
        """Name → how often it was started again after it died."""
        groups = self.supervisord.process_groups.values()
        return {name: process.restarts for group in groups for name, process in group.processes.items()}


def make_rpc_interface(supervisord: Supervisor) -> RestartCounts:
    return RestartCounts(supervisord)


def main() -> None:
    loggers.RotatingFileHandler = PatientLog  # what supervisor makes its log files with; it offers no other way
    options = Options()
    options.realize(sys.argv[1:], doc=__doc__)
    options.first = True
    options.test = False
    Supervisor(options).main()


if __name__ == "__main__":
    main()
