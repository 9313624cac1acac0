"""The processes of the stack in the order they start: what runs, its environment, and how to ask if it is up."""

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from m0local import readiness
from m0local.errors import UsageError
from m0local.kafka_users import credentials
from m0local.launch import launch_command
from m0local.ports import LOOPBACK
from m0local.servers import PostgresServer, SecuredKafkaServer, Server, ValkeyServer
from m0local.servers.jars import Progress
from m0local.settings import StackSettings

SERVERS = ("kafka", "postgres", "valkey", "localnet")
SERVICES = (
    "ingest",
    "normalize",
    "feature",
    "model",
    "bundle",
    "signer-1",
    "signer-2",
    "signer-3",
    "indexer",
    "api",
    "realtime",
    "jobs",
    "warden",
)
NAMES = SERVERS + SERVICES
SIGNER_DEPTHS = {"signer-1": "bundle", "signer-2": "bundle", "signer-3": "raw"}
PUBLIC = ("api", "realtime")
_MODULES = dict.fromkeys(SIGNER_DEPTHS, "m0_signer")
SERVER_STOP_S = 4
SERVICE_STOP_S = 7


@dataclass(frozen=True, slots=True)
class Process:
    """One supervised process.

    `ready` takes its pid; `prepare` makes its files; `ports` are all it listens on, the first one is shown.
    """

    name: str
    command: tuple[str, ...]
    ports: tuple[int, ...]
    ready: Callable[[int], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_wait_s: int = SERVICE_STOP_S

    @property
    def is_server(self) -> bool:
        return self.name in SERVERS


def module_of(service: str) -> str:
    """The Python module that a service runs."""
    return _MODULES.get(service, f"m0_{service}")


def select(only: str | None) -> tuple[str, ...]:
    """The names of a comma-separated selection in start order; all when there is none.

    Raises UsageError for a name that does not exist.
    """
    if not only:
        return NAMES
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in wanted:
        if name not in NAMES:
            raise UsageError(f"There is no service {name!r}: choose from {', '.join(NAMES)}.")
    return tuple(name for name in NAMES if name in wanted)


def all_processes(settings: StackSettings, progress: Progress | None = None) -> dict[str, Process]:
    """Every process this stack runs itself; servers the user replaced by an external address are left out."""
    processes = {
        "kafka": _server(
            SecuredKafkaServer(
                settings.home / "kafka",
                settings.port("kafka"),
                settings.port("kafka-controller"),
                jars=settings.jars,
                passwords=settings.kafka_passwords,
                progress=progress,
            ),
            (settings.port("kafka"), settings.port("kafka-controller")),
        ),
        "postgres": _server(PostgresServer(settings.home / "postgres", settings.port("postgres"))),
        "valkey": _server(ValkeyServer(settings.home / "valkey", settings.port("valkey"))),
        "localnet": _localnet(settings),
    }
    processes |= {name: _service(settings, name) for name in SERVICES}
    return {name: process for name, process in processes.items() if name not in settings.external}


def _server(server: Server, ports: tuple[int, ...] | None = None) -> Process:
    return Process(
        name=server.name,
        command=tuple(server.command()),
        ports=ports or (server.port,),
        ready=lambda _pid: server.ready(),
        prepare=server.prepare,
        stop_signal=server.stop_signal,
        stop_wait_s=SERVER_STOP_S,
    )


def _localnet(settings: StackSettings) -> Process:
    port, ws_port = settings.port("localnet"), settings.port("localnet-ws")
    ledger = settings.home / "localnet"
    options = ("--rpc-port", str(port), "--ws-port", str(ws_port), "--bind", LOOPBACK, "--ledger", str(ledger))
    return Process(
        name="localnet",
        command=(sys.executable, "-m", "m0localnet", *options, "--allow-admin"),
        ports=(port, ws_port),
        ready=lambda pid: readiness.rpc_ready(pid, port),
        prepare=lambda: ledger.mkdir(parents=True, exist_ok=True),
        stop_wait_s=SERVER_STOP_S,
    )


def _service(settings: StackSettings, name: str) -> Process:
    port = settings.port(name)
    env = {"M0_PROMETHEUS_BIND": f"{LOOPBACK}:{port}", **credentials(settings, name)}
    if name in PUBLIC:
        env["M0_BIND"] = f"{LOOPBACK}:{port}"
    if name == "warden":
        env["M0_CONTROL_KEY_FILE"] = str(settings.control_key_file)
    if name in SIGNER_DEPTHS:
        env |= {"M0_SIGNER_NAME": name, "M0_SIGNER_DEPTH": SIGNER_DEPTHS[name]}
    return Process(
        name=name,
        command=launch_command(module_of(name)),
        ports=(port,),
        ready=lambda pid: readiness.http_ready(pid, port),
        env=env,
    )
