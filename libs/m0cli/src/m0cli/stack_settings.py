"""Settings for a command that talks to a running deployment: the environment wins, else the local stack's addresses."""

import os

from m0common.settings import Settings, load
from m0local import deployment
from m0local import settings as local
from m0local.environment import common_environment


def told() -> dict[str, str]:
    """The environment a service of the local stack would get; every `M0_*` variable that is set overrides it."""
    stack = local.load(os.environ)
    return (
        common_environment(stack, os.environ) | deployment.program_environment(stack.deployment_file) | dict(os.environ)
    )


def stack_settings() -> Settings:
    """The settings of that environment."""
    return load(told())
