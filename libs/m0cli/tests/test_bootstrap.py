"""`m0 keys init` and `m0 bootstrap`: from empty servers to a deployment that services find their way in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from m0common.deployment import Deployment, program_id
from m0common.rights import OPERATOR, principals
from m0common.settings import load
from m0common.topics import TOPICS
from m0kafka.passwords import ensure_passwords
from m0local.ports import free_port
from m0local.servers.secured_kafka import SecuredKafkaServer
from m0local.settings import jars_dir
from m0local.testing import RunningKafka, chain_node, postgres_server

ROOT = Path(__file__).parents[3]
CONFIG = """
env = "{env}"
auto_release = {auto}
[kafka]
partitions = 4
[catalogs.sports]
[catalogs.crypto]
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with chain_node(tmp_path_factory.mktemp("chain")) as url:
        yield url


class World:
    """Servers with nothing in them, and the folder of a deployment to be."""

    def __init__(self, home, kafka, postgres, node):
        self.folder, self.config = home / "deployment", home / "config.toml"
        for name in ("markets", "risk"):
            (home / name).symlink_to(ROOT / "config" / name)
        self.env = {
            "PATH": os.environ["PATH"], "HOME": str(home), "M0_HOME": str(home / "no-stack"),
            "M0_CONFIG_PATH": str(self.config), "M0_KAFKA_BOOTSTRAP": kafka, "M0_PG_DSN": postgres, "M0_RPC_URL": node,
            "M0_PROGRAMS_DIR": str(ROOT / "programs" / "deploy"),
            "M0_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "M0_KAFKA_USERNAME": "admin",
            "M0_KAFKA_PASSWORD_FILE": str(self.folder / "keys" / "kafka" / "admin"),
        }  # fmt: skip
        self.say("dev")

    def say(self, env):
        self.config.write_text(CONFIG.format(env=env, auto=str(env == "dev").lower()))

    def m0(self, *args, code=0, **env):
        done = subprocess.run(
            [sys.executable, "-m", "m0cli.main", *args], capture_output=True, text=True, check=False,
            env=self.env | env,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else " ".join(done.stderr.split())

    def bootstrap(self, *args, **options):
        return self.m0("bootstrap", "--dir", str(self.folder), *args, **options)


@pytest.fixture(scope="module")
def world(tmp_path_factory, node):
    home = tmp_path_factory.mktemp("world")
    port, passwords = free_port(count=2), home / "deployment" / "keys" / "kafka"
    ensure_passwords(passwords, ["admin"])
    server = SecuredKafkaServer(home / "kafka", port, port + 1, jars=jars_dir(os.environ), passwords=passwords)
    kafka = RunningKafka(server)
    try:
        kafka.start()
        with postgres_server(home / "postgres") as postgres:
            yield World(home, kafka.bootstrap, postgres.dsn, node)
    finally:
        kafka.stop()


pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]


def test_without_keys_it_says_what_makes_them(world):
    said = world.bootstrap("--plan", code=1)
    assert "key file" in said
    assert "`m0 keys init` makes what is missing" in said


def test_keys_are_made_once_for_everybody_and_for_their_owner_alone(world):
    made = json.loads(world.m0("keys", "init", "--dir", str(world.folder), "--json"))["made"]
    holders = {Path(entry["file"]).name: entry["holder"] for entry in made}
    assert set(principals(3)) <= set(holders.values())
    assert (holders["clock.json"], holders["registrar.json"], holders["resolver.json"]) == ("ingest", "ingest", "jobs")
    assert holders["control.json"] == holders["admin.json"] == OPERATOR
    for entry in made:
        assert Path(entry["file"]).stat().st_mode & 0o777 == 0o600
    before = {path: path.read_bytes() for path in world.folder.rglob("*") if path.is_file()}
    assert world.m0("keys", "init", "--dir", str(world.folder)) == f"Nothing is missing in {world.folder}.\n"
    assert {path: path.read_bytes() for path in world.folder.rglob("*") if path.is_file()} == before


def test_a_plan_says_everything_and_changes_nothing(world):
    due = json.loads(world.bootstrap("--plan", "--json"))
    assert json.loads(world.bootstrap("--plan", "--json")) == due
    assert not due["applied"]
    assert due["changes"][0].startswith("migrate the database from no schema to ")
    assert len([said for said in due["changes"] if said.startswith("create topic m0.")]) == len(TOPICS)
    assert due["changes"][-1] == "define the catalogs, once the steps before are taken"


def test_outside_dev_nothing_is_done_unless_it_is_asked_for(world):
    world.say("staging")
    try:
        assert world.bootstrap().splitlines()[-1] == "Nothing was changed: `m0 bootstrap --apply` does it."
    finally:
        world.say("dev")


def test_it_brings_a_deployment_to_life_and_does_nothing_when_it_lives(world):
    said = world.bootstrap().splitlines()
    assert said[-2:] == ["sports: generation 1 defines it", "crypto: generation 1 defines it"]
    assert world.bootstrap() == world.bootstrap("--plan") == "Everything is as it should be.\n"
    assert "is as described" not in world.m0("topics", "check", M0_KEYS_DIR=str(world.folder / "keys"))


def test_a_service_knows_its_deployment_from_the_record_alone(world):
    record = world.folder / "deployment.json"
    settings = load({**world.env, "M0_DEPLOYMENT_FILE": str(record)})
    said = json.loads(record.read_text())
    assert Deployment.of(settings).genesis_hash.hex() == said["genesis_hash"]
    assert program_id(settings, "oracle")
    shown = json.loads(world.m0("config", "show", "--json", M0_DEPLOYMENT_FILE=str(record)))
    assert shown["deployment.oracle_program_id"]["source"] == "record"
    assert shown["deployment.oracle_program_id"]["value"] == said["programs"]["oracle"]
    assert shown["deployment.fee_router_program_id"]["source"] == "default"


def test_the_servers_of_one_deployment_are_not_given_the_identity_of_another(world):
    record = str(world.folder / "deployment.json")
    said = world.m0("bootstrap", "--dir", str(world.folder.parent / "other"), code=1, M0_DEPLOYMENT_FILE=record)
    assert f"these servers are of the deployment in {world.folder}" in said
    assert not (world.folder.parent / "other").exists()
