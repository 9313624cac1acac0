"""Settings for a command that talks to a running deployment: the environment wins, else the local stack's addresses."""

import os

from m0common.settings import Settings, load
from m0local import deployment
from m0local import settings as local
from m0local.environment import common_environment


def stack_settings() -> Settings:
    """What a service of the local stack would be told; every `M0_*` variable that is set overrides it."""
    stack = local.load(os.environ)
    told = common_environment(stack, os.environ) | deployment.program_environment(stack.deployment_file)
    return load(told | dict(os.environ))
