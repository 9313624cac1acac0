"""Become a service: `python -m m0local.launch MODULE` replaces itself by `python -m MODULE`; a process that the
supervisor forked becomes one without this program, in the same environment.

Before that it adds to the environment what `m0 up` noted for all services, in a file of the stack's home, which the
supervisor names in the environment; its owner alone may read it, as an address may hold a password.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HOME_MARK = "M0_STACK_HOME"
"""In the environment of every process of a stack, so that one left behind by a killed supervisor can be found."""


def environment_file(home: Path) -> Path:
    """Where `m0 up` notes the environment common to all services."""
    return home / "run" / "environment.json"


def service_environment(home: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a service."""
    common: dict[str, str] = dict(json.loads(environment_file(home).read_text()))
    return dict(env) | common


def stack_home(env: Mapping[str, str]) -> Path:
    """The home of the stack that a process with the environment `env` belongs to."""
    return Path(env[HOME_MARK])


def launch_command(module: str) -> tuple[str, ...]:
    """The command that becomes `python -m MODULE`."""
    return (sys.executable, "-m", "m0local.launch", module)


def launched(command: Sequence[str]) -> str | None:
    """The module of a command that `launch_command` made, None for any other."""
    module = command[-1]
    return module if tuple(command) == launch_command(module) else None


def main() -> None:
    module = sys.argv[1]
    env = service_environment(stack_home(os.environ), os.environ)
    os.execve(sys.executable, [sys.executable, "-m", module], env)  # noqa: S606 - it becomes the service


if __name__ == "__main__":
    main()
