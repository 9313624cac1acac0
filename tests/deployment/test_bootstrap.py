"""`m0 keys init` and `m0 bootstrap`: from empty servers to a deployment that services find their way in. Then
`m0 preflight`: whether it may be upgraded.
"""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from m0cli.main import app
from m0common.deployment import Deployment, program_id
from m0common.rights import OPERATOR, principals
from m0common.settings import load
from m0common.topics import TOPICS
from m0index import migrations
from m0kafka.passwords import ensure_passwords
from m0local.ports import free_port
from m0local.servers.secured_kafka import SecuredKafkaServer
from m0local.settings import jars_dir
from m0local.testing import RunningKafka, chain_node, postgres_server
from m0replay.installed import installed_domains
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
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


def test_expanding_takes_no_rights_from_whoever_runs_and_says_which_are_left(world):
    """An upgrade prepares for one signer fewer, while the third still runs."""
    keys, fewer = {"M0_KEYS_DIR": str(world.folder / "keys")}, {"M0_KAFKA_SIGNERS": "2"}
    left = "revoke signer-3: WRITE topic m0.dlq.v1"
    said = world.bootstrap("--only", "topics", "--expand", **fewer)
    assert f"left: {left}: `m0 topics apply` does it, once no older version runs" in said.splitlines()
    applied = json.loads(world.m0("topics", "apply", "--expand", "--json", **keys, **fewer))
    assert (applied["done"], left in applied["left"]) == ([], True)
    assert world.m0("topics", "apply", "--expand", **keys, **fewer).splitlines()[-2:] == [
        f"left: {applied['left'][-1]}",
        "Nothing is missing. What is left over `m0 topics apply` takes away, once no older version runs.",
    ]
    assert world.m0("topics", "check", **keys) == "Everything is as it should be.\n"  # to the three that there are


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


NAMES = ["addresses", "genesis", "partitions", "topics", "signers", "schema", "releases"]


@pytest.fixture
def looked(world, monkeypatch):
    """What `m0 preflight` finds with other variables: the names of the checks that have faults, and all they say."""
    monkeypatch.chdir(world.folder.parent)
    for name in [name for name in os.environ if name.startswith("M0_")]:
        monkeypatch.delenv(name)

    def run(*args, **env):
        told = world.env | {"M0_DEPLOYMENT_FILE": str(world.folder / "deployment.json")} | env
        for name in [name for name in told if name.startswith("M0_")]:
            monkeypatch.setenv(name, told[name])
        done = CliRunner().invoke(app, ["preflight", "--json", *args])
        said = json.loads(done.stdout)
        assert [check["name"] for check in said["checks"]] == NAMES
        assert said["ok"] == (done.exit_code == 0) == all(check["ok"] for check in said["checks"])
        failed = {check["name"]: check["evidence"] for check in said["checks"] if not check["ok"]}
        for name in env:
            monkeypatch.delenv(name, raising=False)
        return failed

    return run


def test_a_deployment_that_fits_the_settings_may_be_upgraded(world, looked):
    assert looked() == {}
    # the operator may see all of it
    password = world.folder / "keys" / "kafka" / OPERATOR
    assert looked(M0_KAFKA_USERNAME=OPERATOR, M0_KAFKA_PASSWORD_FILE=str(password)) == {}


def test_what_the_next_step_makes_is_left_out(world, monkeypatch):
    for name, value in (world.env | {"M0_DEPLOYMENT_FILE": str(world.folder / "deployment.json")}).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["preflight", "--json", "--without", "topics"])
    looked_at = [check["name"] for check in json.loads(done.stdout)["checks"]]
    assert looked_at == [name for name in NAMES if name != "topics"]
    wrong = CliRunner().invoke(app, ["preflight", "--without", "topcs"])
    assert wrong.exit_code == 2


def test_another_chain_and_other_programs_stop_an_upgrade(world, looked):
    key = json.loads((world.folder / "deployment.json").read_text())["signers"][0]["public_key"]
    failed = looked(M0_ORACLE_PROGRAM_ID=key, M0_GENESIS_HASH="ab" * 32)
    assert failed.keys() == {"addresses", "genesis", "signers", "releases"}
    assert "signer set 1 is not on chain: run `m0 bootstrap` first" in failed["signers"]
    assert "the log has no catalog that the control key" in failed["releases"]
    assert failed["addresses"].startswith(f"at deployment.oracle_program_id, {key}, is no program")
    assert f"deployment.genesis_hash is {'ab' * 32}: name a node" in failed["genesis"]
    registry = world.folder.parent / "registry.toml"
    registry.write_text(f'[localnet.registry]\nid = "{key}"\n')
    said = looked(M0_PROGRAM_REGISTRY=str(registry))
    assert said.keys() == {"addresses"}
    assert f"and {registry} has {key} for registry on localnet" in said["addresses"]
    assert f"has {key} for registry on localnet" in world.bootstrap(code=1, M0_PROGRAM_REGISTRY=str(registry))


def test_another_count_of_partitions_and_what_kafka_lacks_stop_an_upgrade(world, looked):
    config = world.folder.parent / "more.toml"
    config.write_text(CONFIG.format(env="dev", auto="true").replace("partitions = 4", "partitions = 8"))
    failed = looked(M0_CONFIG_PATH=str(config))
    assert failed.keys() == {"partitions", "topics", "releases"}
    assert "m0.raw.v1 has 4 partitions and 8 are configured: set kafka.partitions = 4" in failed["partitions"]
    config.write_text(CONFIG.format(env="dev", auto="true").replace("partitions = 4", "partitions = 4\nsigners = 4"))
    failed = looked(M0_CONFIG_PATH=str(config))
    assert failed.keys() == {"topics", "signers"}
    assert "Kafka lacks this: add user signer-4; `m0 topics apply --expand` does it" in failed["topics"]
    assert "signer set 1 on chain has 3 signers" in failed["signers"]
    assert "is 4: say 3; a set cannot be changed yet" in failed["signers"]
    config.write_text(CONFIG.format(env="dev", auto="true").replace("partitions = 4", "partitions = 4\nsigners = 2"))
    failed = looked(M0_CONFIG_PATH=str(config))
    assert failed.keys() == {"signers"}, "rights of a signer that nobody wants any more are left to the operator"


def test_a_schema_that_is_another_ones_or_for_newer_versions_stops_an_upgrade(world, looked):
    def say(*statements):
        with psycopg.connect(world.env["M0_PG_DSN"], autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    head = migrations.head()
    before = f"{int(head) - 1:0{len(head)}}"
    try:
        say(f"UPDATE alembic_version SET version_num = '{before}'")
        assert looked() == {}
        say("UPDATE alembic_version SET version_num = 'someone'")
        assert "'someone', which is no step of ours" in looked()["schema"]
        say("UPDATE alembic_version SET version_num = '9999'", "UPDATE schema_terms SET oldest = '9998'")
        failed = looked()
        assert failed.keys() == {"schema"}
        assert f"is for versions that know 9998, this one knows {head}" in failed["schema"]
    finally:
        say(f"UPDATE alembic_version SET version_num = '{head}'", "UPDATE schema_terms SET oldest = '0001'")


def test_a_server_that_is_away_fails_what_it_is_needed_for_in_one_sentence_each(looked):
    away = f"postgresql://m0@127.0.0.1:{free_port()}/m0"
    failed = looked(M0_PG_DSN=away, M0_RPC_URL=f"http://127.0.0.1:{free_port()}")
    assert failed.keys() == {"addresses", "genesis", "signers", "schema"}
    assert "Postgres does not answer" in failed["schema"]


def test_a_release_that_is_not_installed_stops_an_upgrade_unless_it_stays(world, looked, monkeypatch):
    installed = installed_domains()
    here = installed["sports"].release
    other = dataclasses.replace(installed["sports"], release="ab" * 32)
    monkeypatch.setattr("m0replay.installed.installed_domains", lambda: installed | {"sports": other})
    failed = looked()
    assert failed.keys() == {"releases"}
    assert f"generation 1 of catalog sports needs release {here}" in failed["releases"]
    assert f"`m0 catalog set sports --release {'ab' * 32}`" in failed["releases"]
    assert looked("--releases", here) == {}
