"""A stack of servers beside the developer's own: its own home, ports and supervisor, stopped when the tests end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from m0common.rights import OPERATOR
from m0common.stream.kafka_options import KafkaOptions
from m0local.processes import SERVERS as NAMES
from m0local.settings import EXTERNAL, load
from m0local.testing import free_offset, kafka_of

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
        return kafka_of(self.env, user, f"test-{user}")

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
