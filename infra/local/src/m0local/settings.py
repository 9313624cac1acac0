"""Where the embedded stack lives and which addresses it uses, from the environment."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from m0common.addresses import HTTP, WEBSOCKET, brokers_fault, brokers_in, url_fault
from m0kafka import passwords

from m0local.errors import UsageError
from m0local.ports import LOOPBACK, MAX_PORT
from m0local.servers import postgres

PORTS: dict[str, int] = {
    "kafka": 9092,
    "kafka-controller": 9093,
    "postgres": 5432,
    "valkey": 6379,
    "localnet": 8899,
    "localnet-ws": 8900,
    "ingest": 9101,
    "normalize": 9102,
    "feature": 9103,
    "model": 9104,
    "bundle": 9105,
    "indexer": 9106,
    "jobs": 9107,
    "warden": 9108,
    "signer-1": 9111,
    "signer-2": 9112,
    "signer-3": 9113,
    "api": 8080,
    "realtime": 8090,
}
"""Every port of the stack before `M0_PORT_OFFSET`; a service's port answers /health, /ready and /metrics."""

OFFSET = "M0_PORT_OFFSET"

EXTERNAL: dict[str, str] = {
    "kafka": "M0_KAFKA_BOOTSTRAP",
    "postgres": "M0_PG_DSN",
    "valkey": "M0_REDIS_URL",
    "localnet": "M0_RPC_URL",
}
"""The variable by which an external server takes the place of the stack's own."""

FAULTS: dict[str, Callable[[str], str | None]] = {
    "M0_KAFKA_BOOTSTRAP": brokers_fault,
    "M0_RPC_URL": partial(url_fault, HTTP),
    "M0_WS_URL": partial(url_fault, WEBSOCKET),
}
"""What is wrong with an address that one of these variables holds, None when nothing is."""

DEFAULT_CONFIG = Path("config/dev.toml")
"""The settings file in the repository that a stack uses unless it is told another."""

UNUSABLE = (",", '"', "\n")
"""What no path of a stack may hold: Kafka takes a comma for the end of a path, supervisor and valkey a quote."""

MAX_OFFSET = MAX_PORT - max(PORTS.values())


def repo_root() -> Path:
    """The folder of the checkout this package is installed from, editable."""
    return Path(__file__).resolve().parents[4]


def home_dir(env: Mapping[str, str]) -> Path:
    """The data directory: $M0_HOME, else `.m0` in the repository."""
    value = env.get("M0_HOME")
    return Path(value).absolute() if value else repo_root() / ".m0"


def jars_dir(env: Mapping[str, str]) -> Path:
    """The jar cache shared by stacks and tests: $M0_JARS_DIR, else `.m0/cache/jars` in the repository."""
    value = env.get("M0_JARS_DIR")
    return Path(value).absolute() if value else repo_root() / ".m0" / "cache" / "jars"


@dataclass(frozen=True, slots=True)
class StackSettings:
    """Paths and addresses of one embedded stack."""

    root: Path
    home: Path
    jars: Path
    offset: int
    config_path: Path
    external: Mapping[str, str]
    """Server name → the external address the user set instead."""
    kafka_asks_who: bool = True
    """Clients say who they are to its Kafka: the stack's own, or one of the user's with SASL."""
    rpc_ws_url: str | None = None
    catalogs_dir: Path | None = None

    def port(self, name: str) -> int:
        return PORTS[name] + self.offset

    def address(self, name: str) -> str:
        return f"{LOOPBACK}:{self.port(name)}"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def kafka_passwords(self) -> Path:
        """A file per user of the stack's own Kafka."""
        return passwords.folder(str(self.keys))

    @property
    def passphrase_file(self) -> Path:
        return self.keys / "passphrase"

    @property
    def control_keys(self) -> Path:
        """The control keys, apart from the keys of services: launcher and warden alone read them."""
        return self.home / "control"

    @property
    def control_key_file(self) -> Path:
        """The deployment's first control key."""
        return self.control_keys / "control.json"

    @property
    def config_dir(self) -> Path:
        """Where the files of catalogs lie: beside the settings file, unless the user names a folder."""
        return self.catalogs_dir or self.config_path.parent

    @property
    def deployment_file(self) -> Path:
        return self.home / "deployment.json"

    @property
    def kafka_bootstrap(self) -> str:
        return self.external.get("kafka") or self.address("kafka")

    @property
    def pg_dsn(self) -> str:
        own = postgres.PostgresServer(self.home / "postgres", self.port("postgres")).dsn
        return self.external.get("postgres") or own

    @property
    def redis_url(self) -> str:
        return self.external.get("valkey") or f"redis://{self.address('valkey')}/0"

    @property
    def rpc_url(self) -> str:
        return self.external.get("localnet") or f"http://{self.address('localnet')}"

    @property
    def ws_url(self) -> str:
        if self.rpc_ws_url:
            return self.rpc_ws_url
        if external := self.external.get("localnet"):
            return default_ws_url(external)
        return f"ws://{self.address('localnet-ws')}"

    @property
    def api_url(self) -> str:
        return f"http://{self.address('api')}"

    @property
    def realtime_url(self) -> str:
        return f"ws://{self.address('realtime')}/ws"


def default_ws_url(rpc_url: str) -> str:
    """Solana's convention: the PubSub port is the RPC port plus one; an address without a port keeps none."""
    parts = urlsplit(rpc_url)
    scheme = "wss" if parts.scheme == "https" else "ws"
    host = parts.hostname or LOOPBACK
    host = f"[{host}]" if ":" in host else host
    netloc = f"{host}:{parts.port + 1}" if parts.port else host
    return urlunsplit((scheme, netloc, parts.path, parts.query, ""))


def endpoints(name: str, address: str) -> list[tuple[str, int]]:
    """Host and port of the external server `name` at `address`: a URL, or host:port, of Kafka several with commas."""
    return [_endpoint(name, each) for each in (brokers_in(address) if name == "kafka" else [address])]


def _endpoint(name: str, address: str) -> tuple[str, int]:
    parts = urlsplit(address if "://" in address else f"//{address}")
    default = {"http": 80, "https": 443}.get(parts.scheme, PORTS[name])
    return parts.hostname or LOOPBACK, parts.port or default


def _authenticates(env: Mapping[str, str], config_path: Path) -> bool:
    """Whether clients of a Kafka of the user's say who they are, by its variable or the settings file."""
    protocol = env.get("M0_KAFKA_SECURITY_PROTOCOL")
    if not protocol:
        try:
            protocol = tomllib.loads(config_path.read_text("utf-8"))["kafka"]["security_protocol"]
        except (OSError, ValueError, KeyError, TypeError):  # whoever reads all of it says what is wrong
            return False
    return str(protocol).startswith("SASL_")


def check_external(env: Mapping[str, str]) -> None:
    """Raises UsageError for an address of an external server that no client takes, and for a file that holds one: the
    stack's own would be started.
    """
    for variable in (*EXTERNAL.values(), "M0_WS_URL"):
        if env.get(f"{variable}_FILE") and not env.get(variable):
            raise UsageError(
                f"{variable}_FILE does not say which server a local stack uses: set {variable} to the address itself."
            )
    for variable, fault_of in FAULTS.items():
        if (value := env.get(variable)) and (fault := fault_of(value)) is not None:
            raise UsageError(f"{variable}: {fault}.")


def load(env: Mapping[str, str]) -> StackSettings:
    """Read the stack's settings from `env`. Raises UsageError naming the variable that makes no sense."""
    text = env.get(OFFSET) or "0"
    if not text.isdecimal() or int(text) > MAX_OFFSET:
        raise UsageError(f"{OFFSET}={text} is not a number between 0 and {MAX_OFFSET}.")
    root, home = repo_root(), home_dir(env)
    if bad := [name for name in UNUSABLE if name in str(home)]:
        raise UsageError(
            f"M0_HOME={home} holds {bad[0]!r}, which a server's settings file cannot hold: choose another."
        )
    config_path = Path(env.get("M0_CONFIG_PATH") or root / DEFAULT_CONFIG).absolute()
    return StackSettings(
        root=root,
        home=home,
        jars=jars_dir(env),
        offset=int(text),
        config_path=config_path,
        external={name: env[variable] for name, variable in EXTERNAL.items() if env.get(variable)},
        kafka_asks_who=not env.get("M0_KAFKA_BOOTSTRAP") or _authenticates(env, config_path),
        rpc_ws_url=env.get("M0_WS_URL"),
        catalogs_dir=Path(folder).absolute() if (folder := env.get("M0_CATALOGS_DIR")) else None,
    )
