"""What runs and where it is reached: the answer of `m0 status`."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypedDict

from m0common.secret import SecretDsn, SecretUrl

from m0local import ports
from m0local.control import ProcessInfo, Supervisor
from m0local.processes import NAMES, Process, all_processes
from m0local.settings import StackSettings, endpoints


class ServiceStatus(TypedDict):
    """One server or service; `state` is the supervisor's, or "external" for what the user runs."""

    name: str
    pid: int | None
    state: str
    ready: bool
    restarts: int
    port: int


class Status(TypedDict):
    """The whole stack."""

    services: list[ServiceStatus]
    urls: dict[str, str]


def status(settings: StackSettings) -> Status:
    """Ask the supervisor and every process at once. Never fails because something is down."""
    supervisor = Supervisor(settings)
    info = supervisor.info() if supervisor.is_running() else {}
    processes = all_processes(settings)
    with ThreadPoolExecutor(len(NAMES)) as pool:
        services = list(pool.map(lambda name: _one(settings, name, processes, info), NAMES))
    return {"services": services, "urls": urls(settings)}


def urls(settings: StackSettings) -> dict[str, str]:
    """Where each thing is reached; passwords and keys are left out."""
    return {
        "api": settings.api_url,
        "docs": f"{settings.api_url}/docs",
        "websocket": settings.realtime_url,
        "rpc": str(SecretUrl(settings.rpc_url)),
        "rpc_ws": str(SecretUrl(settings.ws_url)),
        "kafka": settings.kafka_bootstrap,
        "postgres": str(SecretDsn(settings.pg_dsn)),
        "valkey": str(SecretDsn(settings.redis_url)),
    }


def _one(
    settings: StackSettings,
    name: str,
    processes: Mapping[str, Process],
    info: Mapping[str, ProcessInfo],
) -> ServiceStatus:
    if name in settings.external:
        found = endpoints(name, settings.external[name])
        ready = ports.any_open(found, timeout_s=2)
        return {"name": name, "pid": None, "state": "external", "ready": ready, "restarts": 0, "port": found[0][1]}
    process = processes[name]
    known = info.get(name) or ProcessInfo(name, "stopped", None, 0)
    return {
        "name": name,
        "pid": known.pid,
        "state": known.state,
        "ready": known.pid is not None and process.ready(known.pid),
        "restarts": known.restarts,
        "port": process.ports[0],
    }
