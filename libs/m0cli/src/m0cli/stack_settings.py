"""Settings for a command that talks to a running deployment: the environment wins, else what an installed stack says.

A package that runs a deployment on this machine names, by an entry point of the group `m0.environment`, a function from
this process's environment to the variables that reach that deployment. Without one the environment is all there is,
and the settings file and its defaults stand behind it.
"""

import os
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

from m0common.deployment_record import identity, read
from m0common.errors import SettingsError
from m0common.settings import Settings, load, twin

GROUP = "m0.environment"
SERVERS = ("M0_KAFKA_BOOTSTRAP", "M0_PG_DSN", "M0_REDIS_URL", "M0_RPC_URL")


def of_stack() -> dict[str, str]:
    """The variables that reach the deployment of an installed stack; none without one. Raises SettingsError."""
    found: dict[str, str] = {}
    for plugin in entry_points(group=GROUP):
        found |= plugin.load()(os.environ)
    return found


def told() -> dict[str, str]:
    """The variables of that deployment, overridden by those this process was given. Raises SettingsError, also for an
    address that is empty: another deployment's would be taken in its place.
    """
    for name in SERVERS:
        if os.environ.get(name) == "" and not os.environ.get(twin(name) or ""):
            raise SettingsError(f"{name} is empty: give it an address, or unset it")
    return overridden(of_stack(), os.environ)


def overridden(stack: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """`stack` with `own` in its place: a secret and the file that holds it are two names of one thing."""
    return {name: value for name, value in stack.items() if not own.get(twin(name) or "")} | dict(own)


def recorded(environment: Mapping[str, str]) -> dict[str, str]:
    """What the record of the deployment that these variables reach says of it, by key of `[deployment]`. Raises
    SettingsError.
    """
    file = environment.get("M0_DEPLOYMENT_FILE")
    return identity(read(Path(file))) if file else {}


def config_dir() -> Path:
    """Where the files of catalogs lie."""
    return Path(stack_settings().catalogs_dir)


def stack_settings() -> Settings:
    """The settings of that environment."""
    return load(told())
