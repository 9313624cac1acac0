"""The stack as a whole: up, down and clean, one at a time per home."""

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from m0common.errors import M0Error

from m0local import builds, ports
from m0local.control import STOPPED_STATES, Supervisor, clear_leftovers
from m0local.environment import write_environment
from m0local.errors import DiskFullError, LocalStackError, PortTakenError, StartError, UsageError
from m0local.logs import tail
from m0local.processes import SERVERS, SERVICES, Process, all_processes
from m0local.progress import Reporter, downloaded
from m0local.provision import provision
from m0local.settings import EXTERNAL, StackSettings, endpoints
from m0local.supervisor_conf import render

MIN_FREE_BYTES = 300 << 20
READY_TIMEOUT_S = 90.0
POLL_S = 0.2
MAX_DEATHS = 5
"""A process that died this often while starting will not come up by waiting."""
KEPT = ("cache", ".lock", ".bootstrap.lock", ".m0-home")
MARKER = ".m0-home"


def up(settings: StackSettings, selection: Sequence[str], report: Reporter, timeout_s: float = READY_TIMEOUT_S) -> bool:
    """Start what of `selection` does not run yet and return when all of it is ready; False when it all ran already.
    Services that run with other domains than are installed start again, whether or not they are selected.

    Raises PortTakenError, DownloadError, DiskFullError, StartError or what provisioning raises; what was started
    stays up, so that it can be looked at.
    """
    with exclusive(settings, report), _disk_errors(settings):
        _check_disk(settings.home)
        processes = all_processes(settings, progress=lambda done, total: downloaded(report, done, total))
        build = _installed_build()
        wanted = set(selection)
        supervisor = Supervisor(settings)
        conf = render(settings, processes.values())
        if supervisor.is_running():
            if _differs(supervisor, conf):
                raise StartError("The stack runs with other settings than now asked for: run 'make down' first.")
            wanted |= _stop_older(settings, supervisor, build, report)
            if not _missing(supervisor, _chosen(processes, wanted)):
                return False
        elif clear_leftovers(settings):
            report.say("Cleared processes that an earlier run left behind.")
        chosen = _chosen(processes, wanted)
        _check_ports(settings, supervisor, chosen)
        _check_external(settings)
        _write_files(settings, conf)
        if not supervisor.is_running():
            supervisor.start()
        servers = {name: process for name, process in chosen.items() if process.is_server}
        services = {name: process for name, process in chosen.items() if not process.is_server}
        deaths = _start(supervisor, servers, report)
        with ThreadPoolExecutor(1) as aside:
            # while servers boot, which takes as long
            held = aside.submit(supervisor.hold_libraries) if services else None
            _wait(settings, supervisor, servers, deaths, report, timeout_s)
            try:
                provision(settings, servers, report.step, report.say)
            except M0Error as exc:
                raise StartError(f"The deployment could not be made: {exc}.") from exc
            if held:
                held.result()
        builds.note(_builds_file(settings), _stopped(supervisor, services), build)
        deaths = _start(supervisor, services, report)
        _wait(settings, supervisor, services, deaths, report, timeout_s)
        return True


def runs_otherwise(settings: StackSettings) -> bool:
    """Whether the stack runs with other settings than these, other ports for example."""
    supervisor = Supervisor(settings)
    return supervisor.is_running() and _differs(supervisor, render(settings, all_processes(settings).values()))


def _differs(supervisor: Supervisor, conf: str) -> bool:
    """Whether a running stack was started with another configuration."""
    return supervisor.conf.read_text() != conf


def _chosen(processes: Mapping[str, Process], names: Collection[str]) -> dict[str, Process]:
    return {name: process for name, process in processes.items() if name in names}


def _installed_build() -> str:
    try:
        return builds.installed()
    except M0Error as exc:
        raise StartError(f"Nothing was started: {exc}.") from exc


def _stop_older(settings: StackSettings, supervisor: Supervisor, build: str, report: Reporter) -> set[str]:
    """Stop the services that run older code than is installed. Returns what must run so that they start with it: they,
    and the servers by which the deployment is made anew.
    """
    running = [name for name, info in supervisor.info().items() if info.state not in STOPPED_STATES]
    older = builds.older(_builds_file(settings), running, build)
    if older:
        report.say(f"The installed code is not what {', '.join(older)} {'run' if len(older) > 1 else 'runs'}.")
        report.step(f"Stop {', '.join(older)}")
        supervisor.stop_processes(older)
    return {*older, *(name for name in running if name in SERVERS)} if older else set()


def _builds_file(settings: StackSettings) -> Path:
    return settings.run / "builds.json"


def _stopped(supervisor: Supervisor, names: Iterable[str]) -> list[str]:
    info = supervisor.info()
    return [name for name in names if info[name].state in STOPPED_STATES]


def down(settings: StackSettings, report: Reporter) -> bool:
    """Stop everything, services before servers; False when nothing ran."""
    if not settings.home.exists():
        return False
    with exclusive(settings, report):
        supervisor = Supervisor(settings)
        was_running = supervisor.is_running()
        if was_running:
            # a supervisor that fails half way is cleared up below with all it left
            with contextlib.suppress(StartError):
                report.step("Stop the services")
                supervisor.stop_processes(SERVICES)
                report.step("Stop the servers")
                supervisor.stop_processes(SERVERS)
                supervisor.shutdown()
        return bool(clear_leftovers(settings)) or was_running


def clean(settings: StackSettings, report: Reporter, everything: bool = False) -> None:
    """Stop the stack and drop its data, keys and logs; downloads stay unless `everything` is asked for.

    Raises UsageError for a directory that no stack made.
    """
    home = settings.home
    if not home.exists():
        return
    if not (home / MARKER).exists():
        if not [entry for entry in home.iterdir() if entry.name not in KEPT]:
            return
        raise UsageError(f"{home} was not made by 'm0 up': nothing is removed; check M0_HOME.")
    down(settings, report)
    with exclusive(settings, report):
        report.step(f"Remove the data in {home}")
        for entry in home.iterdir():
            if entry.name in KEPT and not (everything and entry.name == "cache"):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


@contextmanager
def exclusive(settings: StackSettings, report: Reporter) -> Iterator[None]:
    """One command at a time works on a stack; a second one says so and waits."""
    with _disk_errors(settings):
        settings.home.mkdir(parents=True, exist_ok=True)
        lock = (settings.home / ".lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report.say("Another make up, down or clean works on this stack: waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _disk_errors(settings: StackSettings) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno == errno.ENOSPC:
            raise DiskFullError(f"The disk of {settings.home} is full: free some space, then run again.") from exc
        if exc.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise LocalStackError(
                f"{exc.filename or settings.home} cannot be written ({exc.strerror}): "
                f"run as the user who owns it, or set M0_HOME to a directory of your own."
            ) from exc
        raise LocalStackError(
            f"{exc.filename or settings.home}: {exc.strerror or exc}: see {settings.logs}, or set M0_HOME to another "
            "directory."
        ) from exc


def _check_disk(home: Path, need_bytes: int = MIN_FREE_BYTES) -> None:
    free = shutil.disk_usage(home).free
    if free < need_bytes:
        raise DiskFullError(
            f"The disk of {home} has {free >> 20} MB left and the stack needs {need_bytes >> 20} MB: "
            f"free some space or set M0_HOME to another disk, then run again."
        )


def _missing(supervisor: Supervisor, chosen: Mapping[str, Process]) -> list[str]:
    info = supervisor.info()
    return [name for name, process in chosen.items() if not _is_ready(process, info[name].pid)]


def _check_ports(settings: StackSettings, supervisor: Supervisor, chosen: Mapping[str, Process]) -> None:
    info = supervisor.info() if supervisor.is_running() else {}
    for name, process in chosen.items():
        if name in info and info[name].state not in STOPPED_STATES:
            continue
        for port in process.ports:
            if not ports.is_free(port):
                _raise_taken(settings, name, port)


def _raise_taken(settings: StackSettings, name: str, port: int) -> None:
    owner = ports.owner(port) or "a program of another user"
    instead = f", set {EXTERNAL[name]} to use it" if name in EXTERNAL else ""
    raise PortTakenError(
        f"Port {port}, needed by {name}, is taken by {owner}: stop that{instead}, or move the whole stack, "
        f"for example with 'M0_PORT_OFFSET={settings.offset + 1000} make up'."
    )


def _check_external(settings: StackSettings) -> None:
    for name, address in settings.external.items():
        found = endpoints(name, address)
        if not ports.any_open(found, timeout_s=5):
            said = ", ".join(f"{host}:{port}" for host, port in found)
            raise StartError(f"{EXTERNAL[name]} names {said}, where nothing answers: start it or unset it.")


def _write_files(settings: StackSettings, conf: str) -> None:
    for directory in (settings.run, settings.logs):
        directory.mkdir(parents=True, exist_ok=True)
    (settings.home / MARKER).touch()
    write_environment(settings, os.environ)
    (settings.run / "supervisord.conf").write_text(conf)


def _start(supervisor: Supervisor, processes: Mapping[str, Process], report: Reporter) -> dict[str, int]:
    """Prepare and start `processes` in order; returns how often each had been started again before."""
    if not processes:
        return {}
    info = supervisor.info()
    new = _stopped(supervisor, processes)
    for name in new:
        if prepare := processes[name].prepare:
            report.step(f"Prepare {name}")
            prepare()
    report.step(f"Start {', '.join(new)}" if new else f"Wait for {', '.join(processes)}")
    for name in new:
        supervisor.start_process(name)
    return {name: info[name].restarts for name in processes}


def _wait(
    settings: StackSettings,
    supervisor: Supervisor,
    processes: Mapping[str, Process],
    deaths: Mapping[str, int],
    report: Reporter,
    timeout_s: float,
) -> None:
    """Wait until each of `processes` is ready."""
    deadline = time.monotonic() + timeout_s
    waiting = list(processes)
    while waiting:
        info = supervisor.info()
        waiting = [name for name in waiting if not _is_ready(processes[name], info[name].pid)]
        report.detail(f"waiting for {', '.join(waiting)}")
        dying = [name for name in waiting if info[name].restarts - deaths[name] >= MAX_DEATHS]
        if dying:
            raise StartError(_explain(settings, dying, "keeps dying"))
        if waiting and time.monotonic() > deadline:
            raise StartError(_explain(settings, waiting, f"was not ready after {timeout_s:.0f} s"))
        if waiting:
            time.sleep(POLL_S)


def _is_ready(process: Process, pid: int | None) -> bool:
    return pid is not None and process.ready(pid)


def _explain(settings: StackSettings, names: Sequence[str], what: str) -> str:
    parts = []
    for name in names:
        log = settings.logs / f"{name}.log"
        lines = "\n".join(f"  {line}" for line in tail(log, 15))
        parts.append(f"{name} {what}; see 'make logs SERVICE={name}' and {log}, which ends:\n{lines}")
    return "\n".join(parts)
