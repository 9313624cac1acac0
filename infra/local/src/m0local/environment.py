"""The environment every service of the stack is given."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from m0common.addresses import brokers_in
from m0common.errors import SettingsError
from m0common.proxies import direct
from m0common.rights import OPERATOR
from m0common.secret import SecretUrl
from m0common.settings import twin, variables

from m0local.errors import UsageError
from m0local.kafka_users import credentials
from m0local.launch import environment_file
from m0local.processes import SERVICES
from m0local.settings import DEFAULT_CONFIG, OFFSET, StackSettings, home_dir, load, repo_root

ENV = "dev"
"""`M0_ENV` of a stack that is told none."""
ARCHIVE = "M0_ARCHIVE_"
"""Begins the variables that say where the log is archived."""
TUNING = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""A dozen small processes share the machine: one math thread and few memory arenas each, unless the user says more."""


def common_environment(settings: StackSettings, env: Mapping[str, str]) -> dict[str, str]:
    """What every service is told; the user's `env` decides its name, log level, API address and tuning."""
    return {
        "M0_ENV": env.get("M0_ENV", ENV),
        "M0_CONFIG_PATH": str(settings.config_path),
        "M0_CATALOGS_DIR": str(settings.config_dir),
        "M0_LOG_LEVEL": env.get("M0_LOG_LEVEL", "info"),
        "M0_HOME": str(settings.home),
        OFFSET: str(settings.offset),
        "M0_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "M0_PG_DSN": settings.pg_dsn,
        "M0_REDIS_URL": settings.redis_url,
        "M0_RPC_URL": settings.rpc_url,
        "M0_WS_URL": settings.ws_url,
        **public_addresses(settings, env),
        "M0_API_BASE": env.get("M0_API_BASE", settings.api_url),
        "M0_DEPLOYMENT_FILE": str(settings.deployment_file),
        "M0_KEYS_DIR": str(settings.keys),
        "M0_KEY_PASSPHRASE_FILE": str(settings.passphrase_file),
        **{name: env[name] for name in variables() if name.startswith(ARCHIVE) and env.get(name)},
        **direct(env),
        **interpreter_environment(env),
    }


def command_environment(env: Mapping[str, str]) -> dict[str, str]:
    """What reaches this stack from the `m0` command: all that its services are told, the archive as they were told it,
    its own API and stream, where each service's metrics are, the control key, and the operator's password; nothing
    where `env` names another deployment. Its ports are those it was started with unless `env` says others. Raises
    SettingsError.
    """
    noted = _noted(home_dir(env))
    try:
        settings = load({OFFSET: noted.get(OFFSET, ""), **env})
    except UsageError as error:
        raise SettingsError(str(error)) from error
    if _elsewhere(settings, env, noted):
        return {}
    return {
        **{name: value for name, value in noted.items() if name.startswith(ARCHIVE) and not env.get(twin(name) or "")},
        **common_environment(settings, env),
        "M0_API_BASE": settings.api_url,
        "M0_STREAM_URL": settings.realtime_url,
        "M0_CONTROL_KEY_FILE": str(settings.control_key_file),
        "M0_METRICS_URLS": ",".join(f"http://{settings.address(name)}" for name in SERVICES),
        **credentials(settings, OPERATOR),
    }


def _noted(home: Path) -> dict[str, str]:
    """What the services of the stack were told when it was started."""
    try:
        noted: dict[str, str] = json.loads(environment_file(home).read_text())
    except (OSError, ValueError):  # it was never started
        return {"M0_CONFIG_PATH": str(repo_root() / DEFAULT_CONFIG), "M0_ENV": ENV}
    return noted


def _elsewhere(settings: StackSettings, env: Mapping[str, str], noted: Mapping[str, str]) -> bool:
    """Whether `env` names other brokers, another settings file or another environment than those this stack was
    started with, or would be unless told otherwise.
    """
    brokers, known = set(brokers_in(settings.kafka_bootstrap)), set(brokers_in(noted.get("M0_KAFKA_BOOTSTRAP", "")))
    config, used = settings.config_path.resolve(), Path(noted.get("M0_CONFIG_PATH", "")).resolve()
    return bool(
        (env.get("M0_KAFKA_BOOTSTRAP") and brokers != known)
        or (env.get("M0_CONFIG_PATH") and config != used)
        or env.get("M0_ENV", noted.get("M0_ENV")) != noted.get("M0_ENV")
    )


def public_addresses(settings: StackSettings, env: Mapping[str, str]) -> dict[str, str]:
    """What /v1/info may say of the node: what the user names, else the address in use unless it holds a secret."""
    used = {"M0_PUBLIC_RPC_URL": settings.rpc_url, "M0_PUBLIC_WS_URL": settings.ws_url}
    safe = {name: url for name, url in used.items() if str(SecretUrl(url)) == url}
    return safe | {name: env[name] for name in used if env.get(name)}


def interpreter_environment(env: Mapping[str, str]) -> dict[str, str]:
    """What counts when an interpreter starts, and so for the supervisor too, from which services are forked."""
    return {"PYTHONUNBUFFERED": "1", **{name: env.get(name, value) for name, value in TUNING.items()}}


def write_environment(settings: StackSettings, env: Mapping[str, str]) -> None:
    """Note the common environment for the launcher, readable by its owner alone."""
    target = environment_file(settings.home)
    fresh = target.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(common_environment(settings, env), file, indent=2)
    fresh.replace(target)
