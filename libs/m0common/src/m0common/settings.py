"""Settings: one TOML file per environment (`config/*.toml`), overridden by the `M0_*` environment.

Unknown keys are refused with the nearest valid name. `load()` is the only way in; `M0_ENV` names the environment and
`M0_CONFIG_PATH` the file.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from m0common.errors import SettingsError, nearest
from m0common.ids import check_catalog

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["SCRAM-SHA-512", "PLAIN"]


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Kafka(Section):
    """`[kafka]`: the cluster, who this process is there, and what its topics are given.

    `password_file` names a file with the password alone, read again whenever a client connects; `ssl_cafile` is a PEM
    file of the authorities that signed the brokers' certificates, this machine's when it is empty. `partitions` is the
    count of every topic for the deployment's life. A write is acknowledged when `min_insync_replicas` of `replication`
    brokers have it. `signers` is how many of the principals `signer-1`, `signer-2` … there are.
    """

    bootstrap: str = "127.0.0.1:9092"
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: str = ""
    ssl_cafile: str = ""
    partitions: int = Field(default=8, ge=1, le=1024)
    replication: int = Field(default=1, ge=1)
    min_insync_replicas: int = Field(default=1, ge=1)
    signers: int = Field(default=3, ge=0, le=64)
    session_timeout_ms: int = Field(default=6000, ge=1000)
    request_timeout_ms: int = Field(default=10_000, ge=1000)

    @model_validator(mode="after")
    def _fits(self) -> "Kafka":
        if self.min_insync_replicas > self.replication:
            raise ValueError(
                f"min_insync_replicas = {self.min_insync_replicas} can never be met with "
                f"replication = {self.replication}: set replication to at least that"
            )
        if self.password.get_secret_value() and self.password_file:
            raise ValueError("both password and password_file are set: keep one")
        if self.security_protocol.startswith("SASL_"):
            if not self.username:
                raise ValueError(f"security_protocol = {self.security_protocol} needs a user: set M0_KAFKA_USERNAME")
            if not self.password.get_secret_value() and not self.password_file:
                raise ValueError(
                    f"user {self.username} has no password: set M0_KAFKA_PASSWORD_FILE or M0_KAFKA_PASSWORD"
                )
        return self


class Identity(Section):
    """`[deployment]`: genesis hash of the chain and the first control key, 64 hex digits each."""

    genesis_hash: str = ""
    control_key: str = ""


class Postgres(Section):
    """`[postgres]`"""

    dsn: str = "postgresql://m0@127.0.0.1:5432/m0"
    pool_max: int = Field(default=4, ge=1)


class Redis(Section):
    """`[redis]`"""

    url: str = "redis://127.0.0.1:6379/0"


class Solana(Section):
    """`[solana]`: program ids are base58; empty until deployed."""

    cluster: str = "localnet"
    rpc_url: str = "http://127.0.0.1:8899"
    ws_url: str = "ws://127.0.0.1:8900"
    oracle_program_id: str = ""
    registry_program_id: str = ""
    fee_router_program_id: str = ""
    governance_program_id: str = ""
    priority_fee_microlamports: int = Field(default=0, ge=0)


class Telemetry(Section):
    """`[telemetry]`: `prometheus_bind` is `host:port` of the health and metrics server."""

    log_level: Literal["debug", "info", "warn", "error"] = "info"
    otel_exporter_otlp_endpoint: str = ""
    prometheus_bind: str = "127.0.0.1:9100"


class Stage(Section):
    """`[stage]`: how the stage loop works; see m0common.stream.loop."""

    batch_records: int = Field(default=500, ge=1)
    poll_timeout_ms: int = Field(default=500, ge=1)
    commit_interval_ms: int = Field(default=2000, ge=0)
    drain_grace_ms: int = Field(default=3000, ge=0)
    checkpoint_interval_ms: int = Field(default=60_000, ge=100)
    checkpoint_records: int = Field(default=50_000, ge=1)
    provisional_interval_ms: int = Field(default=1000, ge=10)
    stuck_after_ms: int = Field(default=30_000, ge=1000)
    silent_after_ms: int = Field(default=60_000, ge=0)
    behind_after_ms: int = Field(default=60_000, ge=1000)
    dead_letter_window: int = Field(default=200, ge=1)
    dead_letter_max_share: float = Field(default=0.5, gt=0, le=1)


class Catalog(Section):
    """`[catalogs.NAME]`: what of a catalog is not in the log, in ms; the rest is in its markets file and its set."""

    lateness_ms: int = Field(default=1000, ge=0)
    commit_ms: int = Field(default=40_000, ge=1000)
    reveal_ms: int = Field(default=40_000, ge=1000)


class Signer(Section):
    """`[signer]`: at depth `raw` the lanes are computed in `workers` processes beside the one that signs."""

    name: str = "signer-1"
    depth: Literal["bundle", "raw"] = "bundle"
    workers: int = Field(default=1, ge=1, le=64)


class Jobs(Section):
    """`[jobs]`: how far back any epoch can be replayed (`replay_horizon_ms`) is how much state of the lanes is kept."""

    close_epochs_after_ms: int = Field(default=86_400_000, ge=60_000)
    crank_interval_ms: int = Field(default=5000, ge=100)
    replay_horizon_ms: int = Field(default=86_400_000, ge=60_000)
    trim_interval_ms: int = Field(default=600_000, ge=100)


class Settings(Section):
    """Everything a service may be told. `auto_release`: `m0 up` moves catalogs on to the releases it has installed."""

    env: Literal["dev", "staging", "prod"] = "dev"
    home: str = ".m0"
    keys_dir: str = ".m0/keys"
    key_passphrase_file: str = ""
    bind: str = ""
    api_base: str = "http://127.0.0.1:8080"
    auto_release: bool = False
    deployment: Identity = Identity()
    kafka: Kafka = Kafka()
    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    solana: Solana = Solana()
    telemetry: Telemetry = Telemetry()
    stage: Stage = Stage()
    signer: Signer = Signer()
    jobs: Jobs = Jobs()
    catalogs: dict[str, Catalog] = Field(default_factory=dict)

    @field_validator("catalogs")
    @classmethod
    def _names(cls, value: dict[str, Catalog]) -> dict[str, Catalog]:
        for name in value:
            check_catalog(name)
        return value


ENVIRONMENT: dict[str, tuple[str, ...]] = {
    "M0_ENV": ("env",),
    "M0_HOME": ("home",),
    "M0_KEYS_DIR": ("keys_dir",),
    "M0_KEY_PASSPHRASE_FILE": ("key_passphrase_file",),
    "M0_BIND": ("bind",),
    "M0_API_BASE": ("api_base",),
    "M0_LOG_LEVEL": ("telemetry", "log_level"),
    "M0_OTEL_EXPORTER_OTLP_ENDPOINT": ("telemetry", "otel_exporter_otlp_endpoint"),
    "M0_PROMETHEUS_BIND": ("telemetry", "prometheus_bind"),
    "M0_GENESIS_HASH": ("deployment", "genesis_hash"),
    "M0_CONTROL_KEY": ("deployment", "control_key"),
    "M0_KAFKA_BOOTSTRAP": ("kafka", "bootstrap"),
    "M0_KAFKA_SECURITY_PROTOCOL": ("kafka", "security_protocol"),
    "M0_KAFKA_SASL_MECHANISM": ("kafka", "sasl_mechanism"),
    "M0_KAFKA_USERNAME": ("kafka", "username"),
    "M0_KAFKA_PASSWORD": ("kafka", "password"),
    "M0_KAFKA_PASSWORD_FILE": ("kafka", "password_file"),
    "M0_KAFKA_SSL_CAFILE": ("kafka", "ssl_cafile"),
    "M0_PG_DSN": ("postgres", "dsn"),
    "M0_REDIS_URL": ("redis", "url"),
    "M0_CLUSTER": ("solana", "cluster"),
    "M0_RPC_URL": ("solana", "rpc_url"),
    "M0_WS_URL": ("solana", "ws_url"),
    "M0_ORACLE_PROGRAM_ID": ("solana", "oracle_program_id"),
    "M0_REGISTRY_PROGRAM_ID": ("solana", "registry_program_id"),
    "M0_FEE_ROUTER_PROGRAM_ID": ("solana", "fee_router_program_id"),
    "M0_GOVERNANCE_PROGRAM_ID": ("solana", "governance_program_id"),
    "M0_SIGNER_NAME": ("signer", "name"),
    "M0_SIGNER_DEPTH": ("signer", "depth"),
    "M0_SIGNER_WORKERS": ("signer", "workers"),
}
"""Environment variable to the place it overrides."""

OTHER_VARIABLES = (
    "M0_CONFIG_PATH",
    "M0_CONTROL_KEY_FILE",
    "M0_STREAM_URL",
    "M0_PORT_OFFSET",
    "M0_JARS_DIR",
    "M0_UP_ONLY",
    "M0_REPLICA",
    "M0_TEST_CLOCK_FILE",
    "M0_TEST_VALIDATOR",
    "M0_BACKTEST_DATA",
    "M0_JWT_SECRET",
    "M0_API_KEYS",
)
"""Variables that are read elsewhere."""


def settings_path(environ: Mapping[str, str]) -> Path:
    """The settings file: `M0_CONFIG_PATH`, else the one of the environment's name in the folder `config`."""
    return Path(environ.get("M0_CONFIG_PATH") or f"config/{environ.get('M0_ENV', 'dev')}.toml")


def load(environ: Mapping[str, str] = os.environ, path: str | Path | None = None) -> Settings:
    """The settings of this process. Raises SettingsError naming the key, the value and the nearest valid name."""
    source = Path(path) if path else settings_path(environ)
    try:
        values: dict[str, Any] = tomllib.loads(source.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"settings file {source} does not exist: set M0_CONFIG_PATH to one of config/*.toml"
        ) from None
    except OSError as error:
        raise SettingsError(
            f"settings file {source} cannot be read: {error.strerror}: set M0_CONFIG_PATH to one of config/*.toml"
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"settings file {source} is not UTF-8: {error}: save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{source}: {error}") from error
    _refuse_misspelt(environ)
    for variable, place in ENVIRONMENT.items():
        if environ.get(variable):
            table = values
            for key in place[:-1]:
                table = table.setdefault(key, {})
            table[place[-1]] = environ[variable]
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(
            "; ".join(_explain(source, e["loc"], e["type"], e["msg"]) for e in error.errors())
        ) from None


def _refuse_misspelt(environ: Mapping[str, str]) -> None:
    known = [*ENVIRONMENT, *OTHER_VARIABLES]
    for name in environ:
        if name.startswith("M0_") and name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.88)
            if near:
                raise SettingsError(f"environment variable {name} is not known: did you mean {near[0]}?")


def _explain(source: Path, place: tuple[int | str, ...], kind: str, message: str) -> str:
    where = ".".join(str(part) for part in place)
    if kind != "extra_forbidden":
        return f"{source}: {where}: {message}"
    model: Any = Settings
    for part in place[:-1]:
        field = model.model_fields.get(str(part)) if hasattr(model, "model_fields") else None
        model = field.annotation if field else Catalog
    return f"{source}: {where} is not a setting{nearest(str(place[-1]), model.model_fields)}"
