"""compose.staging.yml, compose.prod.yml and compose.lanes.yml as Compose reads them: no engine is needed for that."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from m0local.processes import SERVICES

FOLDER = Path(__file__).parents[2] / "infra" / "compose"
SITE = {
    "M0_SITE": "/srv/m0", "M0_ENV": "staging", "M0_TAG": "v1.2.3", "M0_KAFKA_BOOTSTRAP": "kafka.example:9093",
    "M0_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
}  # fmt: skip
BUCKET = {
    "M0_ARCHIVE_URL": "s3://bucket/m0", "M0_ARCHIVE_ACCESS_KEY_ID_FILE": "/srv/m0/secrets/id",
    "M0_ARCHIVE_SECRET_ACCESS_KEY_FILE": "/srv/m0/secrets/key",
}  # fmt: skip
CA = "/etc/m0club/kafka/ca.crt"
LANES = {"normalize", "feature", "model", "bundle"}
SERVERS = {"kafka", "postgres", "valkey", "clickhouse"}
KEYS, SECRETS = "/srv/m0club/keys/", "/srv/m0club/secrets/"
ARCHIVE = {f"{SECRETS}archive_access_key_id", f"{SECRETS}archive_secret_access_key"}
CHAIN = {f"{SECRETS}rpc_url", f"{SECRETS}ws_url"}
HELD = {
    "ingest": {f"{KEYS}{name}" for name in ("kafka/ingest", "registrar.json", "clock.json", "registry.json")}
    | {f"{SECRETS}pg_dsn"}
    | CHAIN,
    "indexer": {f"{KEYS}kafka/indexer", f"{SECRETS}pg_dsn"} | CHAIN,
    "api": {f"{SECRETS}pg_dsn", f"{SECRETS}redis_url"},
    "realtime": {f"{KEYS}kafka/realtime"},
    "jobs": {f"{KEYS}kafka/jobs", f"{KEYS}resolver.json", f"{SECRETS}pg_dsn"} | CHAIN | ARCHIVE,
    "backup": {f"{SECRETS}pg_dsn"} | ARCHIVE,
    "m0": {f"{KEYS}kafka/operator", f"{SECRETS}pg_dsn"} | CHAIN | ARCHIVE,
} | {
    f"signer-{n}": {f"{KEYS}{name}" for name in (f"kafka/signer-{n}", f"signer-{n}.json", "passphrase")} | CHAIN
    for n in (1, 2, 3)
}
hosted = pytest.mark.parametrize("environment", ["staging", "prod"])


@pytest.fixture(scope="module", autouse=True)
def docker():
    """Compose reads files without an engine."""
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("there is no docker compose here")


def config(name, *options, **told):
    env = {name: value for name, value in os.environ.items() if not name.startswith("M0_")} | told
    command = ["docker", "compose", "-f", FOLDER / f"compose.{name}.yml", *options, "config", "--format", "json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def project(name, *options, **told):
    done = config(name, *options, **SITE | told)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def services(name, *options, **told):
    return project(name, *options, **told)["services"]


def test_environments_on_one_machine_are_projects_of_their_own():
    names = {name: project(name)["name"] for name in ("dev", "staging", "prod")}
    assert names == {name: f"m0club-{name}" for name in names}
    volumes = [each["name"] for name in names for each in project(name)["volumes"].values()]
    assert len(set(volumes)) == len(volumes)


@hosted
def test_lanes_are_on_the_network_of_their_environment(environment):
    lanes = project("lanes", M0_ENV=environment)
    assert lanes["name"] == f"m0-lanes-{environment}"
    (joined,) = lanes["networks"].values()
    (made,) = project(environment)["networks"].values()
    assert joined == {"name": made["name"], "ipam": {}, "external": True}
    assert made["name"] == f"m0club-{environment}"


@hosted
def test_every_process_is_in_it_or_in_a_lanes_project(environment):
    expected = set(SERVICES) - {"warden"}  # recorded history is for trying out
    assert services(environment).keys() - {"prepare"} == expected - LANES
    assert services("lanes").keys() == LANES


@hosted
def test_a_service_is_given_its_own_secrets_as_files_and_none_in_its_environment(environment):
    found = services(environment, "--profile", "tools", **BUCKET)
    held = {name: {each["target"] for each in said.get("secrets", ())} for name, said in found.items()}
    assert held.pop("prepare") == {f"{SECRETS}pg_dsn"}
    assert held == HELD
    for name, said in found.items():
        told = said["environment"]
        assert not {"M0_PG_DSN", "M0_RPC_URL", "M0_REDIS_URL", "M0_KAFKA_PASSWORD", "M0_KEY_PASSPHRASE"} & told.keys()
        files = {value for key, value in told.items() if key.endswith("_FILE") and value.startswith(SECRETS)}
        assert files == {each for each in HELD.get(name, {f"{SECRETS}pg_dsn"}) if each.startswith(SECRETS)}, name
        assert told["M0_ENV"] == environment
    for name, said in services("lanes").items():
        assert [each["target"] for each in said["secrets"]] == [f"{KEYS}kafka/{name}"]


def test_staging_is_brought_to_life_from_the_folder_and_by_what_runs_once():
    found = services("staging", "--profile", "bootstrap")
    keys, bootstrap = found["keys"], found["bootstrap"]
    assert keys["command"] == ["keys", "init", "--dir", "/srv/m0club", "--signers", "3"]
    assert (keys["network_mode"], keys.get("environment")) == ("none", None)
    for said in (keys, bootstrap):
        (site,) = (each for each in said["volumes"] if each["target"] == "/srv/m0club")
        assert (site["type"], site["source"], site.get("read_only", False)) == ("bind", SITE["M0_SITE"], False)
    assert bootstrap["entrypoint"] == ["m0", "bootstrap", "--dir", "/srv/m0club"]
    assert bootstrap["command"] == ["--plan"]
    told = bootstrap["environment"]
    assert told["M0_DEPLOYMENT_FILE"] == "/srv/m0club/deployment.json"
    files = {value for name, value in told.items() if name.endswith("_FILE") and name != "M0_DEPLOYMENT_FILE" and value}
    assert files == {f"{KEYS}kafka/admin", f"{KEYS}passphrase", f"{SECRETS}pg_dsn"} | CHAIN
    assert not {needed["required"] for needed in bootstrap["depends_on"].values()} - {False}
    assert not {"keys", "bootstrap"} & services("staging", "--profile", "servers", "--profile", "tools").keys()


def test_where_programs_run_is_what_the_checkout_or_a_file_of_the_operators_says():
    def registry(**told):
        (file,) = (
            each["source"]
            for each in services("staging", "--profile", "bootstrap", **told)["bootstrap"]["volumes"]
            if each["target"] == "/opt/m0/registry.toml"
        )
        return file

    assert Path(registry()) == FOLDER.parents[1] / "programs" / "registry.toml"
    assert registry(M0_PROGRAM_REGISTRY="/srv/m0/registry.toml") == "/srv/m0/registry.toml"


def test_production_takes_what_there_is():
    assert not {"keys", "bootstrap"} & services("prod", "--profile", "*").keys()


@pytest.mark.parametrize("file", ["staging", "prod", "lanes"])
def test_whoever_is_told_of_kafka_is_given_the_authorities_of_its_brokers(file):
    told = project(file, "--profile", "*", M0_KAFKA_SSL_CAFILE="/srv/m0/ca.crt")
    assert told["configs"]["kafka-ca"]["file"] == "/srv/m0/ca.crt"
    ours = {name: said for name, said in told["services"].items() if name not in SERVERS | {"keys"}}
    assert ours
    for name, said in ours.items():
        assert said["environment"]["M0_KAFKA_SSL_CAFILE"] == CA, name
        assert said["configs"] == [{"source": "kafka-ca", "target": CA}], name


@pytest.mark.parametrize("file", ["staging", "prod", "lanes"])
def test_without_authorities_those_of_the_image_count(file):
    for name, said in services(file, "--profile", "*").items():
        assert not (said.get("environment") or {}).get("M0_KAFKA_SSL_CAFILE"), name


@pytest.mark.parametrize("file", ["dev", "staging", "prod", "lanes"])
def test_spans_go_where_the_environment_says(file):
    collector = {"M0_OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    for told in (collector, {}):
        for name, said in services(file, **told).items():
            if name in SERVERS | {"keys", "localnet"}:
                continue
            (variable,) = collector
            assert said["environment"][variable] == told.get(variable, ""), name


@hosted
def test_a_backup_brings_no_schema_with_it(environment):
    assert not services(environment, "--profile", "tools")["backup"].get("depends_on")


@hosted
def test_without_an_archive_jobs_are_told_of_none(environment):
    told = project(environment)
    archive = {name: value for name, value in told["services"]["jobs"]["environment"].items() if "ARCHIVE" in name}
    assert set(archive.values()) == {""}
    files = {name: said["file"] for name, said in told["secrets"].items() if name.startswith("archive-")}
    assert set(files.values()) == {"/dev/null"}


def test_the_folder_of_an_archive_is_a_volume_that_the_command_only_reads():
    found = services("dev", "--profile", "tools")
    mounts = {
        name: bool(each.get("read_only"))
        for name, said in found.items()
        for each in said.get("volumes", ())
        if each["source"] == "archive"
    }
    assert mounts == {"jobs": False, "backup": False, "m0": True}
    for name in mounts:
        assert found[name]["environment"]["M0_ARCHIVE_URL"] == "file:///var/lib/m0-archive"


@pytest.mark.parametrize("file", ["dev", "staging", "prod", "lanes"])
def test_every_container_is_hardened_limited_and_of_a_named_version(file):
    for name, said in services(file, "--profile", "*").items():
        assert said["deploy"]["resources"]["limits"]["memory"], name
        assert said["image"].rpartition(":")[2] not in ("", "latest"), name
        assert all(each.get("host_ip") == "127.0.0.1" for each in said.get("ports", ())), name
        if name in SERVERS:
            continue
        assert said["read_only"], name
        assert said["cap_drop"] == ["ALL"], name
        assert said["security_opt"] == ["no-new-privileges:true"], name


def test_servers_are_there_where_they_are_asked_for():
    assert not SERVERS & services("staging").keys()
    assert SERVERS - {"clickhouse"} <= services("staging", "--profile", "servers").keys()
    assert "clickhouse" in services("staging", "--profile", "analytics")
    assert "kafka" not in services("prod", "--profile", "*")


@pytest.mark.parametrize(
    ("file", "variable"),
    [
        ("staging", "M0_SITE"),
        ("prod", "M0_KAFKA_BOOTSTRAP"),
        ("lanes", "M0_ENV"),
        ("lanes", "M0_KAFKA_SECURITY_PROTOCOL"),
        ("staging", "M0_TAG"),
        ("prod", "M0_TAG"),
        ("lanes", "M0_TAG"),
    ],
)
def test_what_is_not_said_is_asked_for_by_name(file, variable):
    done = config(file, **{name: value for name, value in SITE.items() if name != variable})
    assert done.returncode
    assert variable in done.stderr
