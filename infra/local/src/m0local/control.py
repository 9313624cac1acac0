"""Talk to the supervisor: start it, ask it, tell it to start or stop processes, and clear up what a killed one left."""

import http.client
import os
import signal
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport  # type: ignore[import-untyped]

from m0local.environment import interpreter_environment
from m0local.errors import StartError
from m0local.launch import HOME_MARK
from m0local.processes import SERVICES, module_of
from m0local.settings import StackSettings
from m0local.supervisor_conf import GROUP, socket_path, supervisor_command

START_TIMEOUT_S = 15
POLL_S = 0.1
GRACE_S = 8
"""What a process that was left behind has to stop in: a broker needs some seconds to close its log."""
SERVICE_MODULES = frozenset(map(module_of, SERVICES))
STOPPED_STATES = ("stopped", "exited", "fatal", "unknown")


@dataclass(frozen=True, slots=True)
class ProcessInfo:
    """What the supervisor knows of a process; `state` in lower case: running, starting, backoff, stopping, stopped."""

    name: str
    state: str
    pid: int | None
    restarts: int


class Supervisor:
    """The supervisor of one stack. Every call may raise StartError when it stops answering half way."""

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.conf = settings.run / "supervisord.conf"

    def is_running(self) -> bool:
        try:
            return bool(self._call("supervisor.getState")["statename"] == "RUNNING")
        except StartError:
            return False

    def start(self) -> None:
        """Start the supervisor with no process running yet. Raises StartError with the end of what it said."""
        log = self.settings.logs / "supervisor.out"
        with log.open("wb") as out:
            daemon = subprocess.Popen(
                supervisor_command(self.conf),
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                cwd=self.settings.root,
                env=os.environ | interpreter_environment(os.environ) | {HOME_MARK: str(self.settings.home)},
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_running():
            if daemon.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace").strip().splitlines()
                raise StartError(f"The supervisor did not start ({' '.join(said[-1:])}): see {log}.")
            time.sleep(POLL_S)

    def info(self) -> dict[str, ProcessInfo]:
        """Every process of the configuration by name."""
        restarts = self._call("m0.restarts")
        return {
            entry["name"]: ProcessInfo(
                entry["name"], entry["statename"].lower(), entry["pid"] or None, restarts.get(entry["name"], 0)
            )
            for entry in self._call("supervisor.getAllProcessInfo")
        }

    def hold_libraries(self) -> None:
        """Let the supervisor import what services begin with, one library at a time: it answers others in between."""
        while self._call("m0.hold_next"):
            pass

    def start_process(self, name: str) -> None:
        """Start a process that is not running; nothing when it is."""
        self._call("supervisor.startProcess", f"{GROUP}:{name}", False, ignore=(Faults.ALREADY_STARTED,))

    def stop_processes(self, names: Iterable[str]) -> None:
        """Stop all of `names` at the same time and return when they are gone."""
        names = list(names)
        for name in names:
            self._call("supervisor.stopProcess", f"{GROUP}:{name}", False, ignore=(Faults.NOT_RUNNING,))
        while any(info.state not in STOPPED_STATES for name, info in self.info().items() if name in names):
            time.sleep(POLL_S)

    def shutdown(self) -> None:
        """Stop the supervisor itself and wait until it is gone."""
        pid = self._call("supervisor.getPID")
        self._call("supervisor.shutdown")
        try:
            psutil.Process(pid).wait(START_TIMEOUT_S)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired as exc:
            raise StartError(f"The supervisor (pid {pid}) does not stop: kill it.") from exc

    def _call(self, method: str, *args: Any, ignore: tuple[int, ...] = ()) -> Any:  # whatever XML-RPC carries
        # a connection each time: one that failed cannot be used again
        transport = SupervisorTransport(serverurl=f"unix://{socket_path(self.settings)}")
        rpc = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        try:
            return getattr(rpc, method)(*args)
        except xmlrpc.client.Fault as exc:
            if exc.faultCode in ignore:
                return None
            raise StartError(f"The supervisor refused {method}{args}: {exc.faultString}.") from exc
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as exc:
            raise StartError(f"The supervisor does not answer ({exc}): run 'make down', then 'make up'.") from exc
        finally:
            transport.close()


def leftovers(settings: StackSettings) -> list[psutil.Process]:
    """Processes of this stack that run without their supervisor, and a supervisor that no longer answers."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and _is_ours(process, settings):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _is_ours(process: psutil.Process, settings: StackSettings) -> bool:
    if process.environ().get(HOME_MARK) == str(settings.home):
        return True
    # servers may write their title over their environment
    files = {
        "postgres": str(settings.home / "postgres" / "data"),
        "valkey-server": str(settings.home / "valkey" / "valkey.conf"),
    }
    return process.name() in files and files[process.name()] in process.cmdline()


def clear_leftovers(settings: StackSettings, grace_s: float = GRACE_S) -> int:
    """Stop what `leftovers` finds, services before servers, by force what does not listen; how many there were.

    A server that is asked while its clients are gone stops at once, and starts again without a recovery.
    """
    count = 0
    for is_turn in (_is_supervisor, _is_service, _is_any):
        found = [process for process in leftovers(settings) if _holds(is_turn, process)]
        for process in found:
            _signal(process, _stop_signal(process))
        _, alive = psutil.wait_procs(found, timeout=grace_s)
        for process in alive:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=grace_s)
        count += len(found)
    return count


def _is_supervisor(command: Sequence[str]) -> bool:
    return "m0local.supervise" in command


def _is_service(command: Sequence[str]) -> bool:
    return any(module in command for module in SERVICE_MODULES)


def _is_any(_command: Sequence[str]) -> bool:
    return True


def _holds(test: Callable[[Sequence[str]], bool], process: psutil.Process) -> bool:
    try:
        return test(process.cmdline())
    except psutil.Error:
        return False


def _stop_signal(process: psutil.Process) -> signal.Signals:
    """Postgres waits for its clients on SIGTERM."""
    try:
        return signal.SIGINT if process.name() == "postgres" else signal.SIGTERM
    except psutil.Error:
        return signal.SIGTERM


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
