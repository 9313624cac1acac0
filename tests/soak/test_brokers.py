"""The fleet on three nodes of Kafka that trust nobody: each process as itself; any node dies, and nobody stops.

Whoever is no leader (a second ingest, a second jobs) asks Kafka for nothing, and api has nothing to ask it for.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import e2e_log as log
import e2e_stack
import pytest
from e2e_stack import M0, ROOT, Stack, report_at
from m0common.rights import SERVICES
from m0kafka.passwords import folder
from m0local.ports import free_port
from m0local.processes import SERVICES as PROCESSES
from secured_kafka import NODES, SecuredKafka, secured_kafka
from soak_tree import start

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
REPLICATED = "partitions = 8\nreplication = 3\nmin_insync_replicas = 2\nsigners = 3\n"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as made:
        yield made


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with e2e_stack.at_home() as made:
        yield made


@pytest.fixture(scope="module")
def stack(kafka: SecuredKafka, home: Path) -> Iterator[Stack]:
    """A stack whose Kafka is this one, where `m0 topics apply` has made topics, users and rights."""
    config = home / "config.toml"
    config.write_text((ROOT / "config" / "dev.toml").read_text().replace("partitions = 8 ", REPLICATED + "#"))
    told = kafka.environment() | {"M0_CONFIG_PATH": str(config), "M0_CATALOGS_DIR": str(ROOT / "config")}
    applied = subprocess.run(
        [M0, "topics", "apply"],
        env=os.environ | told | {"M0_HOME": str(home), "M0_KEYS_DIR": str(home / "keys")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert applied.returncode == 0, applied.stderr
    with e2e_stack.running(home, told) as made:
        made.goes_on(epochs=1)
        yield made


def pids(stack: Stack) -> dict[str, int]:
    return {name: found["pid"] for name, found in stack.status().items()}


def test_every_process_is_itself_and_has_the_rights_of_its_name_alone(stack: Stack) -> None:
    for name in PROCESSES:
        assert stack.credentials(name)["M0_KAFKA_USERNAME"] == {"warden": "operator"}.get(name, name)
    stack.all_ready()
    stack.goes_on()


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in ("api", "ingest", "jobs")])
def test_a_service_with_anothers_credentials_is_refused_and_says_so(stack: Stack, name: str) -> None:
    other = "model" if name != "model" else "feature"
    passwords, port = folder(str(stack.home / "keys")), free_port()
    told = {"M0_KAFKA_USERNAME": other, "M0_KAFKA_PASSWORD_FILE": str(passwords / other)}
    process = start(stack, ROOT, name, port, M0_REPLICA="refused", M0_BIND=f"127.0.0.1:{port}", **told)
    try:
        said = stack.wait(f"{name} as {other} to say that it is refused", lambda: refused(port, other), 60)
        assert json.loads(said)["status"] == "unavailable"
    finally:
        process.kill()
        process.wait()


def refused(port: int, user: str) -> str | None:
    said = report_at(port)
    return said if f"does not let {user}" in said or "AuthorizationFailed" in said else None


@pytest.mark.parametrize("number", NODES)
def test_any_node_dies_and_epochs_go_on_without_a_restart_of_anything(
    stack: Stack, kafka: SecuredKafka, number: int
) -> None:
    before, since = pids(stack), time.monotonic()
    kafka.nodes[number].kill()
    try:
        stack.all_ready(180)
        stack.goes_on(epochs=3)
        print(f"without node {number}: ready and three epochs on after {time.monotonic() - since:.0f} s")
    finally:
        kafka.nodes[number].start()
    stack.wait("the node to be back", lambda: kafka.registered() == len(NODES), 120)
    stack.all_ready(180)
    stack.goes_on()
    assert pids(stack) == before


def test_nothing_was_lost_or_doubled(stack: Stack) -> None:
    finals = stack.finals()
    log.agree(stack.kafka, finals)
    for catalog, epochs in finals.items():
        stack.replays(catalog, epochs[1]["epoch_id"])
        stack.replays(catalog, epochs[-1]["epoch_id"])
