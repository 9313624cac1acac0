"""The broker's start script, with stand-ins for all that it calls: they write down what they were called with."""

import re
import stat
import subprocess
from pathlib import Path

import pytest

START = Path(__file__).parents[2] / "infra" / "compose" / "kafka" / "start.sh"
PASSWORD = r"a&b\1|c/d@ADVERTISED"
CALLED = '#!/bin/sh\nprintf "%s\\n" "$0 $*" >>"$CALLS"\n'
STORAGE = """
case $1 in
  random-uuid) cat /proc/sys/kernel/random/uuid ;;
  format)
    [ -z "${BREAK:-}" ] || exit 1
    mkdir -p ROOT/var/lib/kafka/data
    cat "${2#@}" >ROOT/options
    stat -c %a "${2#@}" >ROOT/mode
    printf "cluster.id=%s\\n" "$(sed -n 2p "${2#@}")" >ROOT/var/lib/kafka/data/meta.properties ;;
esac
"""


class World:
    """Folders of a container below one of the test's, where nothing can be called but the stand-ins."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls = root / "calls"
        self.script = root / "etc" / "kafka" / "m0club" / "start.sh"
        for folder in ("etc/kafka/m0club", "srv/m0club/keys/kafka", "var/lib/kafka", "opt/kafka/bin", "tmp", "bin"):
            (root / folder).mkdir(parents=True)
        (root / "srv/m0club/keys/kafka/admin").write_text(PASSWORD)
        for file in (START, START.with_name("server.properties")):
            text = re.sub(r"(?<![\w/])/(srv|etc|var|opt|tmp)/", rf"{root}/\1/", file.read_text())
            self.script.with_name(file.name).write_text(text)
        self.put("opt/kafka/bin/kafka-storage.sh", STORAGE.replace("ROOT", str(root)))
        self.put("opt/kafka/bin/kafka-server-start.sh", "")
        for command in ("cat", "rm"):
            self.put(f"bin/{command}", f'exec /usr/bin/{command} "$@"\n')

    def put(self, path: str, text: str) -> None:
        file = self.root / path
        file.write_text(CALLED + f"PATH=/usr/bin:/bin\n{text}")
        file.chmod(0o755)

    def run(self, **told: str) -> "subprocess.CompletedProcess[str]":
        env = {"PATH": str(self.root / "bin"), "CALLS": str(self.calls), **told}
        return subprocess.run(["/bin/sh", self.script], env=env, capture_output=True, text=True, check=False)

    def start(self, **told: str) -> list[str]:
        """What was called, from its name on."""
        self.calls.write_text("")
        done = self.run(**told)
        assert done.returncode == 0, done.stderr
        return [line.removeprefix(f"{self.root}/") for line in self.calls.read_text().splitlines()]

    @property
    def cluster(self) -> str:
        return (self.root / "var/lib/kafka/data/meta.properties").read_text()


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def test_each_new_storage_is_a_cluster_of_its_own(world):
    world.start()
    first = world.cluster
    (world.root / "var/lib/kafka/data/meta.properties").unlink()
    world.start()
    assert re.fullmatch(r"cluster\.id=\S+\n", first)
    assert world.cluster != first


def test_storage_that_is_there_is_not_formatted_again(world):
    first = world.start()
    kept = world.cluster
    again = world.start()
    assert sum("kafka-storage.sh format" in line for line in first) == 1
    assert not [line for line in again if "kafka-storage.sh" in line]
    assert world.cluster == kept
    for calls in (first, again):
        assert calls[-1] == f"opt/kafka/bin/kafka-server-start.sh {world.root}/tmp/server.properties"


def test_formatting_that_was_interrupted_is_done_again(world):
    world.calls.write_text("")
    assert world.run(BREAK="1").returncode
    assert "kafka-server-start.sh" not in world.calls.read_text()
    assert any("kafka-storage.sh format" in line for line in world.start())


def test_no_command_line_holds_the_password(world):
    for _ in range(2):
        assert not [line for line in world.start() if PASSWORD in line]
    assert f"--add-scram\nSCRAM-SHA-512=[name=admin,password={PASSWORD}]\n" in (world.root / "options").read_text()
    assert (world.root / "mode").read_text() == "600\n"
    assert not (world.root / "tmp/format.options").exists()


def test_the_settings_are_filled_in_and_for_their_owner_alone(world):
    world.start(M0_KAFKA_ADVERTISED="m0club-kafka:9092")
    file = world.root / "tmp/server.properties"
    lines = file.read_text().splitlines()
    assert f'    required username="admin" password="{PASSWORD}" user_admin="{PASSWORD}";' in lines
    assert "advertised.listeners=SASL_PLAINTEXT://m0club-kafka:9092" in lines
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(lines) == len(START.with_name("server.properties").read_text().splitlines())
