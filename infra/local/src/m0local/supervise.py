"""The supervisor of the stack: `python -m m0local.supervise -c FILE` runs supervisord with four differences.

It never gives up on a process and waits at most five seconds between attempts; it counts how often each process was
started again after dying, readable over its RPC as `m0.restarts`; a disk that is full costs lines of logs, nothing
else; and services are forked with the libraries it holds (`m0.hold_next`), where they would import the same ones.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from supervisor import loggers  # type: ignore[import-untyped]
from supervisor.options import ProcessConfig, ServerOptions  # type: ignore[import-untyped]
from supervisor.process import Subprocess  # type: ignore[import-untyped]
from supervisor.states import ProcessStates  # type: ignore[import-untyped]
from supervisor.supervisord import Supervisor  # type: ignore[import-untyped]

from m0local.forked import become
from m0local.launch import launched, service_environment, stack_home
from m0local.libraries import Libraries

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
    """Reads the configuration into patient processes, and begins them."""

    def __init__(self) -> None:
        super().__init__()
        self.libraries = Libraries()

    def execve(self, filename: str, argv: Sequence[str], env: Mapping[str, str]) -> NoReturn:
        """Called in the forked process, whose files and group are those of the new one."""
        if module := launched(argv):
            whole = service_environment(stack_home(env), env)
            if self.libraries.fit(whole):
                become(module, whole)
        os.execve(filename, [*argv], env)  # noqa: S606 - it becomes the process

    def processes_from_section(self, parser: Any, section: str, group_name: str, klass: Any = None) -> Any:
        return super().processes_from_section(
            parser, section, group_name, PatientProcessConfig if klass in (None, ProcessConfig) else klass
        )


class Interface:
    """RPC namespace `m0`."""

    def __init__(self, supervisord: Supervisor) -> None:
        self.supervisord = supervisord

    def restarts(self) -> dict[str, int]:
        """Name → how often it was started again after it died."""
        groups = self.supervisord.process_groups.values()
        return {name: process.restarts for group in groups for name, process in group.processes.items()}

    def hold_next(self) -> bool:
        """Import one more of the libraries that services begin with; False when there are no more."""
        return bool(self.supervisord.options.libraries.hold_next())


def make_rpc_interface(supervisord: Supervisor) -> Interface:
    return Interface(supervisord)


def main() -> None:
    loggers.RotatingFileHandler = PatientLog  # what supervisor makes its log files with; it offers no other way
    options = Options()
    options.realize(sys.argv[1:], doc=__doc__)
    options.first = True
    options.test = False
    Supervisor(options).main()


if __name__ == "__main__":
    main()
