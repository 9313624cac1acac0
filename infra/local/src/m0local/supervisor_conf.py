"""The one configuration file of the supervisor, generated from all processes."""

import hashlib
import shlex
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from m0local.processes import Process
from m0local.settings import StackSettings

GROUP = "m0"
LOG_BYTES = 10 << 20
LOG_BACKUPS = 2
RETRIES = 1_000_000
FACTORY = "supervisor.rpcinterface_factory"
MAX_SOCKET_PATH = 100  # the kernel's limit is 107 bytes


def socket_path(settings: StackSettings) -> Path:
    """Where the supervisor listens; in the temporary directory when the home's path is too long for a socket."""
    path = settings.run / "supervisor.sock"
    if len(str(path)) <= MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(str(settings.home).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"m0-{digest}.sock"


def render(settings: StackSettings, processes: Iterable[Process]) -> str:
    """The text of supervisord.conf."""
    processes = list(processes)
    sections = [
        _section(
            "unix_http_server",
            {"file": socket_path(settings), "chmod": "0600"},
        ),
        _section(
            "supervisord",
            {
                "nodaemon": "true",
                "silent": "true",
                "pidfile": settings.run / "supervisord.pid",
                "logfile": settings.logs / "supervisor.log",
                "logfile_maxbytes": LOG_BYTES,
                "logfile_backups": LOG_BACKUPS,
                "childlogdir": settings.logs,
                "directory": settings.root,
            },
        ),
        _section("rpcinterface:supervisor", {FACTORY: "supervisor.rpcinterface:make_main_rpcinterface"}),
        _section("rpcinterface:m0", {FACTORY: "m0local.supervise:make_rpc_interface"}),
        _section("group:" + GROUP, {"programs": ",".join(process.name for process in processes)}),
    ]
    sections += [_program(settings, process) for process in processes]
    return "\n".join(sections)


def _program(settings: StackSettings, process: Process) -> str:
    return _section(
        f"program:{process.name}",
        {
            "command": shlex.join(process.command),
            "environment": _environment(process.env),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": 1,
            "startretries": RETRIES,
            "stopsignal": process.stop_signal.name.removeprefix("SIG"),
            "stopwaitsecs": process.stop_wait_s,
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": settings.logs / f"{process.name}.log",
            "stdout_logfile_maxbytes": LOG_BYTES,
            "stdout_logfile_backups": LOG_BACKUPS,
        },
    )


def _section(name: str, values: Mapping[str, object]) -> str:
    # a per cent sign starts an expansion in this format
    lines = [f"{key} = {str(value).replace('%', '%%')}" for key, value in values.items() if value != ""]
    return f"[{name}]\n" + "\n".join(lines) + "\n"


def _environment(env: Mapping[str, str]) -> str:
    # values without quotes (names, ports, files below the home): the format has no escapes; all else goes through
    # m0local.environment
    return ",".join(f'{key}="{value}"' for key, value in env.items())


def supervisor_command(conf: Path) -> list[str]:
    return [sys.executable, "-m", "m0local.supervise", "-c", str(conf)]
