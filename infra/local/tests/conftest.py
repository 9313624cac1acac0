"""A stack of servers beside the developer's own: its own home, ports and supervisor, stopped when the tests end.

And the world of m0replay's tests as a module: catalogs of a deployment in memory.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from m0common import settings as service_settings
from m0common.rights import OPERATOR
from m0common.stream.kafka_options import KafkaOptions
from m0local import ports
from m0local.environment import command_environment
from m0local.kafka_users import credentials
from m0local.processes import SERVERS as NAMES
from m0local.settings import EXTERNAL, PORTS, load

_path = Path(__file__).parents[3] / "libs" / "m0replay" / "tests" / "catalog_world.py"
_spec = importlib.util.spec_from_file_location(_path.stem, _path)
sys.modules[_path.stem] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules[_path.stem])

SERVERS = ",".join(NAMES)
M0 = [sys.executable, "-m", "m0cli.main"]


class Stack:
    """The m0 command with the environment of one stack."""

    def __init__(self, home: Path, offset: int) -> None:
        inherited = {key: value for key, value in os.environ.items() if key not in (*EXTERNAL.values(), "M0_UP_ONLY")}
        self.env = {**inherited, "M0_HOME": str(home), "M0_PORT_OFFSET": str(offset)}
        self.home = home
        self.settings = load(self.env)

    def kafka(self, user: str = OPERATOR) -> KafkaOptions:
        """How a user of its Kafka reaches it."""
        told = command_environment(self.env) | credentials(self.settings, user)
        return KafkaOptions.of(service_settings.load(told).kafka, f"test-{user}")

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*M0, *args], env=self.env | env, capture_output=True, text=True, timeout=110, check=False
        )

    def begin(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*M0, *args], env=self.env, stdout=subprocess.PIPE, text=True)

    def status(self) -> dict:
        return json.loads(self.run("status", "--json").stdout)

    def service(self, name: str) -> dict:
        return next(entry for entry in self.status()["services"] if entry["name"] == name)


def free_offset() -> int:
    """An offset at which every port of the stack is free."""
    for _ in range(200):
        offset = ports.free_port(12000, 22000) // 100 * 100
        if all(ports.is_free(port + offset) for port in PORTS.values()):
            return offset
    raise OSError("no offset with all ports free")


@pytest.fixture
def make_stack(tmp_path):
    made = []

    def make(home: Path | None = None, offset: int | None = None) -> Stack:
        stack = Stack(home or tmp_path / "home", free_offset() if offset is None else offset)
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.run("down")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """All four servers under the supervisor, with the deployment made."""
    stack = Stack(tmp_path_factory.mktemp("stack"), free_offset())
    done = stack.run("up", "--only", SERVERS)
    assert done.returncode == 0, done.stdout + done.stderr
    yield stack
    down = stack.run("down")
    assert down.returncode == 0, down.stdout + down.stderr
