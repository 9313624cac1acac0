"""Settings: one TOML file per environment (`config/*.toml`), overridden by the `M0_*` environment.

Unknown keys are refused with the nearest valid name. `load()` is the only way in; `M0_ENV` names the environment and
`M0_CONFIG_PATH` the file. A setting that is a Secret has a twin whose name ends in `_file` (`M0_PG_DSN_FILE`): a file
that holds it. docs/operations/settings.md is made from the descriptions here: `python -m m0common.settings_page`.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)

from m0common import deployment_record
from m0common.addresses import PLACEHOLDER, Brokers, PublicStreamUrl, PublicUrl
from m0common.errors import SettingsError, nearest
from m0common.forwarded import Network, network
from m0common.ids import check_catalog
from m0common.secret import Secret, SecretDsn, SecretKey, SecretStreamUrl, SecretUrl
from m0common.section import FILE, Section, in_words, is_secret

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["SCRAM-SHA-512", "PLAIN"]


def _offsets_in(value: object) -> object:
    """Offsets that have commas between them, as a variable has them; what a file has is a list already."""
    return value.split(",") if isinstance(value, str) and value else value or ()


RestoredEnds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_offsets_in)]


class Kafka(Section):
    """`[kafka]`: the cluster, who this process is there, and what its topics are given."""

    bootstrap: Brokers = Field(default="127.0.0.1:9092", description="Brokers as host:port, with commas between.")
    security_protocol: SecurityProtocol = Field(
        default="PLAINTEXT", description="Whether connections are TLS (`SSL`) and say who connects (`SASL`)."
    )
    sasl_mechanism: SaslMechanism = Field(default="SCRAM-SHA-512", description="How a client proves who it is.")
    username: str = Field(default="", description="The principal of this process; with `SASL` alone.")
    password: Secret = Field(default=Secret(), description="The password of that principal.")
    ssl_cafile: str = Field(
        default="",
        description="PEM file of the authorities that signed the brokers' certificates; empty: this machine's.",
    )
    partitions: int = Field(
        default=8, ge=1, le=1024, description="Of every topic that has not one alone; for the deployment's life."
    )
    replication: int = Field(default=1, ge=1, description="Copies of each partition.")
    min_insync_replicas: int = Field(
        default=1, ge=1, description="A write is acknowledged when so many of the copies have it."
    )
    signers: int = Field(default=3, ge=0, le=64, description="How many principals `signer-1`, `signer-2` … there are.")
    restored_ends: RestoredEnds = Field(
        default=(),
        description="By partition, up to which offset `m0.raw` was restored from an archive, with commas between: "
        "records below bear their first times, which no broker stamped. `m0 backup restore kafka` says it; empty: "
        "nowhere.",
    )
    session_timeout_ms: int = Field(
        default=6000, ge=1000, description="A consumer that was killed loses its partitions after this."
    )
    request_timeout_ms: int = Field(
        default=10_000, ge=1000, description="For every request; a send is uncertain after half as long again."
    )

    @model_validator(mode="after")
    def _fits(self) -> "Kafka":
        if self.restored_ends and len(self.restored_ends) != self.partitions:
            raise ValueError(
                f"restored_ends names {len(self.restored_ends)} partitions of {self.partitions}: write the line that "
                "'m0 backup restore kafka' printed"
            )
        if self.min_insync_replicas > self.replication:
            raise ValueError(
                f"min_insync_replicas = {self.min_insync_replicas} can never be met with "
                f"replication = {self.replication}: set replication to at least that"
            )
        if self.security_protocol.startswith("SASL_"):
            if not self.username:
                raise ValueError(f"security_protocol = {self.security_protocol} needs a user: set M0_KAFKA_USERNAME")
            if not self.password:
                raise ValueError(
                    f"user {self.username} has no password: set M0_KAFKA_PASSWORD_FILE or M0_KAFKA_PASSWORD"
                )
        elif self.username:
            raise ValueError(
                f"user {self.username} is told to nobody with security_protocol = {self.security_protocol}: "
                "set M0_KAFKA_SECURITY_PROTOCOL to SASL_SSL, or unset M0_KAFKA_USERNAME"
            )
        return self


class Identity(Section):
    """`[deployment]`: what makes a deployment this one; with `kafka.partitions` fixed for its life."""

    genesis_hash: str = Field(default="", description="The chain's genesis hash, 64 hex digits.")
    control_key: str = Field(default="", description="The first control key (public), 64 hex digits.")
    oracle_program_id: str = Field(default="", description="m0-oracle on chain, base58.")
    registry_program_id: str = Field(default="", description="m0-registry on chain, base58.")
    fee_router_program_id: str = Field(default="", description="Published by /v1/info; base58, empty when absent.")
    governance_program_id: str = Field(default="", description="Published by /v1/info; base58, empty when absent.")

    @model_validator(mode="after")
    def _each_program_has_one_role(self) -> "Identity":
        named: dict[str, str] = {}
        for name, address in self:
            if not name.endswith("_program_id") or not address or address.startswith(PLACEHOLDER):
                continue
            if address in named:
                raise ValueError(
                    f"{name} = {address} is {named[address]} too: each is a program of its own, as 'm0 programs "
                    "verify' shows them"
                )
            named[address] = name
        return self


class Postgres(Section):
    """`[postgres]`"""

    dsn: SecretDsn = Field(
        default=SecretDsn("postgresql://m0@127.0.0.1:5432/m0"),
        description="Address of the index. Only ingest and jobs may reach it through a transaction pooler.",
    )
    pool_max: int = Field(default=4, ge=1, description="Connections of one process at most.")
    connect_timeout_ms: int = Field(default=10_000, ge=1000, description="How long a connection is waited for.")
    statement_timeout_ms: int = Field(default=30_000, ge=100, description="After this the server ends a statement.")
    answer_timeout_ms: int = Field(
        default=2500, ge=1000, description="For so long a request to the API waits for Postgres; then it gets a 503."
    )
    lease_ms: int = Field(
        default=6_000, ge=1000, description="A leader of jobs or of a part of ingest that died is replaced after this."
    )


class Redis(Section):
    """`[redis]`"""

    url: SecretDsn = Field(default=SecretDsn("redis://127.0.0.1:6379/0"), description="Address of Redis. Not read yet.")


class Solana(Section):
    """`[solana]`: the node this process asks, and the one strangers are told of."""

    cluster: str = Field(default="localnet", description="The cluster's name, as proofs and /v1/info say it.")
    rpc_url: SecretUrl = Field(
        default=SecretUrl("http://127.0.0.1:8899"), description="JSON-RPC of the node that is asked; never published."
    )
    ws_url: SecretStreamUrl = Field(
        default=SecretStreamUrl("ws://127.0.0.1:8900"), description="PubSub of the node that is asked; never published."
    )
    public_rpc_url: PublicUrl = Field(default="", description="JSON-RPC that /v1/info names, for anybody; empty: none.")
    public_ws_url: PublicStreamUrl = Field(
        default="", description="PubSub that /v1/info names, for anybody; empty: none."
    )
    request_timeout_ms: int = Field(default=10_000, ge=100, description="How long one request to the node may take.")
    priority_fee_microlamports: int = Field(default=0, ge=0, description="Paid per compute unit.")


class Telemetry(Section):
    """`[telemetry]`"""

    log_level: Literal["debug", "info", "warn", "error"] = Field(default="info", description="The least to log.")
    otel_exporter_otlp_endpoint: SecretUrl = Field(
        default=SecretUrl(), description="OTLP/HTTP collector of traces; empty: none."
    )
    prometheus_bind: str = Field(default="127.0.0.1:9100", description="host:port of /health, /ready and /metrics.")


class Stage(Section):
    """`[stage]`: how the loops that read topics work; see m0common.stream.loop."""

    batch_records: int = Field(default=500, ge=1, description="Records of one poll at most.")
    poll_timeout_ms: int = Field(default=500, ge=1, description="How long an empty poll waits.")
    commit_interval_ms: int = Field(default=2000, ge=0, description="Offsets are committed this often.")
    checkpoint_interval_ms: int = Field(default=60_000, ge=100, description="Between two checkpoints of a lane.")
    checkpoint_records: int = Field(default=50_000, ge=1, description="Records between two checkpoints of a lane.")
    provisional_interval_ms: int = Field(default=1000, ge=10, description="Between provisional outputs of a market.")
    stuck_after_ms: int = Field(default=30_000, ge=1000, description="Without a turn for this long: unhealthy.")
    silent_after_ms: int = Field(default=60_000, ge=0, description="Without a record for this long: noted.")
    behind_after_ms: int = Field(
        default=60_000, ge=1000, description="What lay in a lane's partition so long ago and is not read yet: noted."
    )
    dead_letter_window: int = Field(default=200, ge=1, description="Newest records among which letters are counted.")
    dead_letter_max_share: float = Field(
        default=0.5, gt=0, le=1, description="A larger share of letters among them stops the stage."
    )
    release_id: str = Field(
        default="",
        pattern=r"\A([0-9a-f]{10})?\z",
        description="The build that has to be installed here, as `m0 release id` says it; empty: any.",
    )


class Catalog(Section):
    """`[catalogs.NAME]`: what of a catalog is not in the log; the rest is in its markets file and its set."""

    lateness_ms: int = Field(default=1000, ge=0, description="A marker comes so long after its window's end.")
    commit_ms: int = Field(default=40_000, ge=1000, description="How long signers may commit to an epoch.")
    reveal_ms: int = Field(default=40_000, ge=1000, description="How long signers may reveal it.")


class Signer(Section):
    """`[signer]`"""

    name: str = Field(
        default="signer-1",
        pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\z",
        description="Names the key file and this signer's place in the set.",
    )
    depth: Literal["bundle", "raw"] = Field(
        default="bundle", description="`raw`: everything is computed here; `bundle`: bundles alone."
    )
    workers: int = Field(default=1, ge=1, le=64, description="Processes over which lanes are spread at depth `raw`.")


class Api(Section):
    """`[api]`"""

    jwt_secret: SecretKey = Field(default=SecretKey(), description="Key of tokens, at least 32 bytes. Not read yet.")
    keys: SecretKey = Field(default=SecretKey(), description="API keys, comma list. Not read yet.")


TrustedNetwork = Annotated[Network, PlainValidator(network), PlainSerializer(str)]


class Realtime(Section):
    """`[realtime]`"""

    connections_max: int = Field(default=10_000, ge=1, description="Of one process; more are refused with 503.")
    connections_per_address_max: int = Field(default=1000, ge=1, description="More are refused with 429.")
    trusted_proxies: tuple[TrustedNetwork, ...] = Field(
        default=(), description="Networks whose X-Forwarded-For is believed, for the limit per address."
    )


class Jobs(Section):
    """`[jobs]`"""

    close_epochs_after_ms: int = Field(
        default=86_400_000, ge=60_000, description="Accounts of final epochs are closed after this."
    )
    crank_interval_ms: int = Field(default=5000, ge=100, description="Between two runs of the frequent jobs.")
    replay_horizon_ms: int = Field(
        default=86_400_000, ge=60_000, description="Epochs this old can be replayed: so much state of lanes is kept."
    )
    resolve_wait_ms: int = Field(
        default=60_000, ge=0, description="An outcome is resolved once nothing has corrected it for so long."
    )
    trim_interval_ms: int = Field(default=600_000, ge=100, description="Between two trims of the lanes' state.")


class Archive(Section):
    """`[archive]`: where the log is kept outside Kafka; see m0archive."""

    url: str = Field(
        default="", description="`file:///FOLDER` or `s3://BUCKET/PREFIX`, one for each deployment; empty: no archive."
    )
    endpoint: PublicUrl = Field(default="", description="Of S3-compatible storage; empty: that of its region at AWS.")
    region: str = Field(default="us-east-1", description="Of the bucket.")
    access_key_id: Secret = Field(
        default=Secret(), description="Opens the bucket; empty: what the machine's role gives."
    )
    secret_access_key: Secret = Field(default=Secret(), description="Belongs to that key.")
    interval_ms: int = Field(
        default=10_000, ge=100, description="What is in the log is archived so often: the most of it that can be lost."
    )
    behind_after_ms: int = Field(
        default=300_000, ge=1000, description="An archive that lags by more than this is noted."
    )


class Settings(Section):
    """Everything a service may be told."""

    env: Literal["dev", "staging", "prod"] = Field(default="dev", description="dev, staging or prod.")
    home: str = Field(default=".m0", description="Folder for what a process keeps on disk.")
    keys_dir: str = Field(default=".m0/keys", description="Folder of key files.")
    catalogs_dir: str = Field(
        default="", description="Folder with markets/ and risk/; empty: where the settings file lies."
    )
    key_passphrase: Secret = Field(default=Secret(), description="Opens the signer's key file.")
    bind: str = Field(default="", description="host:port to serve on; empty: the service's own.")
    drain_ms: int = Field(
        default=3000, ge=0, description="After SIGTERM work in hand may take this long, and closing 2 s more."
    )
    api_base: PublicUrl = Field(default="http://127.0.0.1:8080", description="Where the API is, for commands.")
    auto_release: bool = Field(
        default=False,
        description="`m0 up` and `m0 bootstrap` move catalogs on to the releases they have installed; dev alone.",
    )
    deployment_file: str = Field(
        default="",
        description="The record that `m0 bootstrap` writes: it says what of `[deployment]` is not set otherwise.",
    )
    deployment: Identity = Identity()
    kafka: Kafka = Kafka()
    postgres: Postgres = Postgres()
    redis: Redis = Redis()
    solana: Solana = Solana()
    telemetry: Telemetry = Telemetry()
    stage: Stage = Stage()
    signer: Signer = Signer()
    api: Api = Api()
    realtime: Realtime = Realtime()
    jobs: Jobs = Jobs()
    archive: Archive = Archive()
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
    "M0_CATALOGS_DIR": ("catalogs_dir",),
    "M0_KEY_PASSPHRASE": ("key_passphrase",),
    "M0_BIND": ("bind",),
    "M0_DRAIN_MS": ("drain_ms",),
    "M0_API_BASE": ("api_base",),
    "M0_AUTO_RELEASE": ("auto_release",),
    "M0_LOG_LEVEL": ("telemetry", "log_level"),
    "M0_OTEL_EXPORTER_OTLP_ENDPOINT": ("telemetry", "otel_exporter_otlp_endpoint"),
    "M0_PROMETHEUS_BIND": ("telemetry", "prometheus_bind"),
    "M0_DEPLOYMENT_FILE": ("deployment_file",),
    "M0_GENESIS_HASH": ("deployment", "genesis_hash"),
    "M0_CONTROL_KEY": ("deployment", "control_key"),
    "M0_KAFKA_BOOTSTRAP": ("kafka", "bootstrap"),
    "M0_KAFKA_SECURITY_PROTOCOL": ("kafka", "security_protocol"),
    "M0_KAFKA_SASL_MECHANISM": ("kafka", "sasl_mechanism"),
    "M0_KAFKA_USERNAME": ("kafka", "username"),
    "M0_KAFKA_PASSWORD": ("kafka", "password"),
    "M0_KAFKA_SSL_CAFILE": ("kafka", "ssl_cafile"),
    "M0_KAFKA_SIGNERS": ("kafka", "signers"),
    "M0_KAFKA_RESTORED_ENDS": ("kafka", "restored_ends"),
    "M0_PG_DSN": ("postgres", "dsn"),
    "M0_REDIS_URL": ("redis", "url"),
    "M0_CLUSTER": ("solana", "cluster"),
    "M0_RPC_URL": ("solana", "rpc_url"),
    "M0_WS_URL": ("solana", "ws_url"),
    "M0_PUBLIC_RPC_URL": ("solana", "public_rpc_url"),
    "M0_PUBLIC_WS_URL": ("solana", "public_ws_url"),
    "M0_ORACLE_PROGRAM_ID": ("deployment", "oracle_program_id"),
    "M0_REGISTRY_PROGRAM_ID": ("deployment", "registry_program_id"),
    "M0_FEE_ROUTER_PROGRAM_ID": ("deployment", "fee_router_program_id"),
    "M0_GOVERNANCE_PROGRAM_ID": ("deployment", "governance_program_id"),
    "M0_JWT_SECRET": ("api", "jwt_secret"),
    "M0_API_KEYS": ("api", "keys"),
    "M0_ARCHIVE_URL": ("archive", "url"),
    "M0_ARCHIVE_ENDPOINT": ("archive", "endpoint"),
    "M0_ARCHIVE_REGION": ("archive", "region"),
    "M0_ARCHIVE_ACCESS_KEY_ID": ("archive", "access_key_id"),
    "M0_ARCHIVE_SECRET_ACCESS_KEY": ("archive", "secret_access_key"),
    "M0_SIGNER_NAME": ("signer", "name"),
    "M0_RELEASE_ID": ("stage", "release_id"),
    "M0_SIGNER_DEPTH": ("signer", "depth"),
    "M0_SIGNER_WORKERS": ("signer", "workers"),
}
"""Environment variable to the place it overrides; those of secrets have twins besides, see `variables`."""

OTHER_VARIABLES = (
    "M0_CONFIG_PATH",
    "M0_CONTROL_KEY_FILE",
    "M0_PROGRAMS_DIR",
    "M0_PROGRAM_REGISTRY",
    "M0_STREAM_URL",
    "M0_METRICS_URLS",
    "M0_PORT_OFFSET",
    "M0_JARS_DIR",
    "M0_UP_ONLY",
    "M0_REPLICA",
    "M0_TEST_CLOCK_FILE",
    "M0_TEST_VALIDATOR",
)
"""Variables that are read elsewhere."""


def settings_path(environ: Mapping[str, str]) -> Path:
    """The settings file: `M0_CONFIG_PATH`, else the one of the environment's name in the folder `config`."""
    return Path(environ.get("M0_CONFIG_PATH") or f"config/{environ.get('M0_ENV', 'dev')}.toml")


def variables() -> dict[str, tuple[str, ...]]:
    """Every variable with the place it overrides, `_FILE` twins included."""
    twins = {
        name + FILE.upper(): (*place[:-1], place[-1] + FILE)
        for name, place in ENVIRONMENT.items()
        if is_secret(_annotation(place))
    }
    return ENVIRONMENT | twins


def twin(variable: str) -> str | None:
    """The other name of a secret's `variable`: of its file, or of itself. None for what is no secret."""
    other = variable + FILE.upper() if variable in ENVIRONMENT else variable.removesuffix(FILE.upper())
    return other if {variable, other} <= variables().keys() and other != variable else None


def load(environ: Mapping[str, str] = os.environ, path: str | Path | None = None) -> Settings:
    """The settings of this process. Raises SettingsError naming the key, the value and the nearest valid name."""
    source = Path(path) if path else settings_path(environ)
    values = read_file(source)
    _refuse_misspelt(environ)
    _override(values, environ)
    _complete(values)
    values["catalogs_dir"] = values.get("catalogs_dir") or str(source.parent)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(*(_explain(source, environ, fault) for fault in error.errors())) from None


_NAME_ANOTHER = "name one of config/*.toml, by M0_CONFIG_PATH or as the argument"


def read_file(source: Path) -> dict[str, Any]:
    """The tables of a settings file as they are written. Raises SettingsError with the remedy."""
    try:
        return tomllib.loads(source.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"settings file {source} does not exist: {_NAME_ANOTHER}") from None
    except OSError as error:
        raise SettingsError(f"settings file {source} cannot be read: {error.strerror}: {_NAME_ANOTHER}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"settings file {source} is not UTF-8: {error}: save it as UTF-8") from error
    except ValueError as error:  # no TOML, or a number that Python takes no time for
        raise SettingsError(f"{source}: {error}") from error
    except RecursionError:
        raise SettingsError(f"{source}: brackets are nested too deep: no setting needs more than 3") from None


def _override(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Put variables in the place of what the file says: a secret's takes its twin's place too, and the other way."""
    known = variables()
    for variable, place in known.items():
        if not environ.get(variable):
            continue
        other = twin(variable)
        if other is not None and environ.get(other):
            raise SettingsError(f"{variable} and {other} are both set: unset one of them")
        table = values
        for key in place[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise SettingsError(f"{key} of the settings file is {table!r}: write it as a table")
        if other is not None:
            table.pop(known[other][-1], None)
        table[place[-1]] = environ[variable]


def _complete(values: dict[str, Any]) -> None:
    """Take from the deployment's record what neither file nor variables say."""
    file, table = values.get("deployment_file"), values.get("deployment", {})
    if isinstance(file, str) and file and isinstance(table, dict):
        record = deployment_record.read(Path(file))
        said = deployment_record.identity(record)
        own = {name: value for name, value in table.items() if value and not str(value).startswith(PLACEHOLDER)}
        values["deployment"] = table | said | own
        kafka = values.setdefault("kafka", {})
        if isinstance(kafka, dict) and (ends := record.get(deployment_record.RESTORED_ENDS)):
            kafka.setdefault("restored_ends", ends)


def _annotation(place: tuple[int | str, ...]) -> object:
    """The type of the setting at a place, or of the table or list that holds it."""
    model: Any = Settings
    for key in place:
        field = getattr(model, "model_fields", {}).get(key)
        model = field.annotation if field is not None else Catalog if model == dict[str, Catalog] else model
    return model


def _refuse_misspelt(environ: Mapping[str, str]) -> None:
    known = [*variables(), *OTHER_VARIABLES]
    for name in environ:
        if name.startswith("M0_") and name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.88)
            if near:
                raise SettingsError(f"environment variable {name} is not known: did you mean {near[0]}?")


def _explain(source: Path, environ: Mapping[str, str], fault: Any) -> str:  # pydantic's
    place, message = fault["loc"], in_words(fault["msg"])
    where = ".".join(str(part) for part in place)
    if fault["type"] != "extra_forbidden":
        said = [name for name, known in variables().items() if known == place and environ.get(name)]
        # of a variable, or a setting, that holds a secret the value is not said
        shown = [name if twin(name) else f"{name}={environ[name]!r}" for name in said]
        value = fault["input"]
        if where and not shown and isinstance(value, str | int | float) and not is_secret(_annotation(place)):
            where = f"{where} = {value!r}"
        given = [shown[0] if shown else str(source), *([where] if where else []), message]
        return ": ".join(given)
    model: Any = Settings
    for part in place[:-1]:
        field = model.model_fields.get(str(part)) if hasattr(model, "model_fields") else None
        model = field.annotation if field else Catalog
    known = [*model.model_fields, *(name + FILE for name in model.secrets())]
    return f"{source}: {where} is not a setting{nearest(str(place[-1]), known)}"
