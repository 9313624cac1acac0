"""Settings for a command that talks to a running deployment: the environment wins, else the local stack's addresses."""

import os
from pathlib import Path

from m0common.errors import SettingsError
from m0common.settings import Settings, load
from m0local import deployment
from m0local import settings as local
from m0local.environment import common_environment
from m0local.errors import UsageError


def told() -> dict[str, str]:
    """The environment a service of the local stack would get; every `M0_*` variable that is set overrides it.

    Raises SettingsError.
    """
    try:
        stack = local.load(os.environ)
    except UsageError as error:
        raise SettingsError(str(error)) from error
    own = common_environment(stack, os.environ) | deployment.environment(stack.deployment_file)
    return {name: value for name, value in own.items() if not _twin(name)} | dict(os.environ)


def _twin(name: str) -> str | None:
    """What the user says by the other name of the variable `name`: that of a secret, or of its file."""
    return os.environ.get(name.removesuffix("_FILE") if name.endswith("_FILE") else f"{name}_FILE")


def config_dir() -> Path:
    """Where the files of catalogs lie."""
    return Path(stack_settings().catalogs_dir)


def stack_settings() -> Settings:
    """The settings of that environment."""
    return load(told())
