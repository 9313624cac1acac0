"""Settings for a command that talks to a running deployment: the environment wins, else what an installed stack says.

A package that runs a deployment on this machine names, by an entry point of the group `m0.environment`, a function from
this process's environment to the variables that reach that deployment. Without one the environment is all there is,
and the settings file and its defaults stand behind it.
"""

import os
from importlib.metadata import entry_points
from pathlib import Path

from m0common.settings import Settings, load, twin

GROUP = "m0.environment"


def of_stack() -> dict[str, str]:
    """The variables that reach the deployment of an installed stack; none without one. Raises SettingsError."""
    found: dict[str, str] = {}
    for plugin in entry_points(group=GROUP):
        found |= plugin.load()(os.environ)
    return found


def told() -> dict[str, str]:
    """The variables of that deployment, each overridden by the one this process was given, or by that one's twin: a
    secret and the file that holds it are two names of one thing. Raises SettingsError.
    """
    return {name: value for name, value in of_stack().items() if not os.environ.get(twin(name) or "")} | dict(
        os.environ
    )


def config_dir() -> Path:
    """Where the files of catalogs lie."""
    return Path(stack_settings().catalogs_dir)


def stack_settings() -> Settings:
    """The settings of that environment."""
    return load(told())
