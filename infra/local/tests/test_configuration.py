"""Settings, generated configuration, environment and small helpers, without starting anything."""

import configparser
import json
import os
import re
import shlex
import socket
import threading
from pathlib import Path

import pytest
from m0local import logs, ports, stack, supervisor_conf
from m0local.environment import common_environment, write_environment
from m0local.errors import DiskFullError, MissingToolError, UsageError
from m0local.launch import service_environment
from m0local.processes import NAMES, SERVICES, all_processes, select
from m0local.servers import KafkaServer
from m0local.servers.java import find_java
from m0local.servers.kafka import property_value
from m0local.settings import MAX_OFFSET, PORTS, endpoints, load
from m0local.status import urls


@pytest.fixture
def settings(tmp_path):
    return load({"M0_HOME": str(tmp_path), "M0_PORT_OFFSET": "1000"})


def test_without_an_offset_the_ports_are_those_operators_expect(tmp_path):
    found = urls(load({"M0_HOME": str(tmp_path)}))
    assert found["api"] == "http://127.0.0.1:8080"
    assert found["websocket"] == "ws://127.0.0.1:8090/ws"
    assert found["rpc"] == "http://127.0.0.1:8899"
    assert found["rpc_ws"] == "ws://127.0.0.1:8900"
    assert found["kafka"] == "127.0.0.1:9092"
    assert ":5432/" in found["postgres"]
    assert ":6379/" in found["valkey"]


def test_no_two_processes_share_a_port():
    assert len(set(PORTS.values())) == len(PORTS)


@pytest.mark.parametrize("text", ["-1", "x", "1.5", str(MAX_OFFSET + 1)])
def test_an_impossible_offset_is_refused_by_name_and_value(text):
    with pytest.raises(UsageError, match=f"M0_PORT_OFFSET={text}"):
        load({"M0_PORT_OFFSET": text})


def test_the_largest_offset_keeps_every_port_below_the_ephemeral_range():
    env = load({"M0_PORT_OFFSET": str(MAX_OFFSET)})
    assert max(env.port(name) for name in PORTS) <= ports.MAX_PORT


def test_an_external_address_replaces_a_server(tmp_path):
    env = load({"M0_HOME": str(tmp_path), "M0_RPC_URL": "http://node:18899", "M0_KAFKA_BOOTSTRAP": "a:1,b:2"})
    assert {"kafka", "localnet"}.isdisjoint(all_processes(env))
    assert env.ws_url == "ws://node:18900"
    assert env.kafka_bootstrap == "a:1,b:2"
    assert endpoints("kafka", "a:1,b:2") == [("a", 1), ("b", 2)]
    assert endpoints("localnet", "https://rpc.example/?a=1,2") == [("rpc.example", 443)]
    assert endpoints("postgres", "postgresql://u@db/x") == [("db", 5432)]


def test_a_selection_keeps_the_order_of_starting_and_refuses_unknown_names():
    assert select("postgres, kafka") == ("kafka", "postgres")
    assert select(None) == select("") == NAMES
    with pytest.raises(UsageError, match="'pg'"):
        select("kafka,pg")


def test_the_supervisor_configuration_restarts_everything_for_ever(settings):
    parser = configparser.RawConfigParser()
    parser.read_string(supervisor_conf.render(settings, all_processes(settings).values()))
    assert [section for section in parser.sections() if section.startswith("group:")] == ["group:m0"]
    for name in NAMES:
        program = parser[f"program:{name}"]
        assert program["autorestart"] == "true"
        assert int(program["startretries"]) >= 1_000_000
        assert program["stdout_logfile"] == str(settings.logs / f"{name}.log")
        assert int(program["stdout_logfile_maxbytes"]) > 0
    assert shlex.split(parser["program:signer-3"]["command"])[-1] == "m0_signer"
    assert 'M0_SIGNER_NAME="signer-3"' in parser["program:signer-3"]["environment"]
    assert 'M0_SIGNER_DEPTH="raw"' in parser["program:signer-3"]["environment"]
    assert 'M0_BIND="127.0.0.1:9080"' in parser["program:api"]["environment"]
    assert parser["program:postgres"]["stopsignal"] == "INT"


def test_the_supervisor_configuration_holds_no_secret(tmp_path):
    env = load({"M0_HOME": str(tmp_path), "M0_PG_DSN": "postgresql://u:hunter2@db/x"})
    assert "hunter2" not in supervisor_conf.render(env, all_processes(env).values())


def test_a_home_with_a_long_path_gets_a_short_socket(tmp_path):
    env = load({"M0_HOME": str(tmp_path / ("x" * 120))})
    assert len(str(supervisor_conf.socket_path(env))) < 100


def test_every_service_is_told_where_everything_is(settings):
    env = common_environment(settings, {"M0_LOG_LEVEL": "debug"})
    assert env["M0_LOG_LEVEL"] == "debug"
    assert env["M0_ENV"] == "dev"
    assert env["M0_CONFIG_PATH"].endswith("/config/dev.toml")
    assert env["M0_KAFKA_BOOTSTRAP"] == "127.0.0.1:10092"
    assert env["M0_RPC_URL"] == "http://127.0.0.1:9899"
    assert Path(env["M0_KEY_PASSPHRASE_FILE"]).parent == Path(env["M0_KEYS_DIR"])
    for name in SERVICES:
        assert "M0_PROMETHEUS_BIND" in all_processes(settings)[name].env


def test_a_service_is_told_where_the_record_of_the_deployment_is_and_no_secret_of_it(settings):
    settings.run.mkdir(parents=True)
    write_environment(settings, {})
    assert (settings.run / "environment.json").stat().st_mode & 0o777 == 0o600
    env = service_environment(settings.home, {"M0_FEE_ROUTER_PROGRAM_ID": "Mine", "PATH": "/bin"})
    assert env["M0_DEPLOYMENT_FILE"] == str(settings.deployment_file)
    assert env["M0_FEE_ROUTER_PROGRAM_ID"] == "Mine"
    assert env["PATH"] == "/bin"
    assert env["M0_HOME"] == str(settings.home)
    assert str(settings.control_keys) not in json.dumps(env)
    assert not settings.control_key_file.is_relative_to(env["M0_KEYS_DIR"])


@pytest.mark.parametrize(
    ("given", "excepted"),
    [
        ({}, None),
        ({"NO_PROXY": "intern"}, None),
        ({"HTTP_PROXY": ""}, None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "127.0.0.1,localhost,::1"),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "intern, localhost"}, "intern,localhost,127.0.0.1,::1"),
        ({"ALL_PROXY": "socks5://p", "NO_PROXY": "a", "no_proxy": "b"}, "a,b,127.0.0.1,localhost,::1"),
    ],
)
def test_the_stacks_own_addresses_never_go_to_a_proxy(settings, given, excepted):
    env = common_environment(settings, given)
    assert env.get("NO_PROXY") == env.get("no_proxy") == excepted


@pytest.mark.parametrize("path", ["/tmp/a b", "/tmp/zürich", "C:\\new", "/tmp/\N{CRAB}", "/tmp/#!=:"])
def test_a_path_survives_javas_settings_files(path):
    written = property_value(path)
    assert written.isascii()
    units = re.sub(r"\\u([0-9a-f]{4})|\\\\", lambda m: chr(int(m[1], 16)) if m[1] else "\\", written)
    assert units.encode("utf-16-be", "surrogatepass").decode("utf-16-be") == path


@pytest.mark.parametrize("home", ["/tmp/a,b", '/tmp/a"b', "/tmp/a\nb"])
def test_a_home_that_no_settings_file_can_hold_is_refused_by_name(home):
    with pytest.raises(UsageError, match="M0_HOME="):
        load({"M0_HOME": home})


def test_the_warden_is_supervised_like_a_service(settings):
    process = all_processes(settings)["warden"]
    assert process.command[-2:] == ("m0local.launch", "m0_warden")
    assert process.ports == (settings.port("warden"),)
    others = [each.env for name, each in all_processes(settings).items() if name != "warden"]
    assert process.env["M0_CONTROL_KEY_FILE"] == str(settings.control_key_file)
    assert not any("M0_CONTROL_KEY_FILE" in env for env in others)


def test_kafka_allows_eight_mebibytes_and_creates_no_topic_on_its_own(tmp_path):
    text = KafkaServer(tmp_path, 21000, 21001, jars=tmp_path).settings(tmp_path / "data")
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    assert int(values["message.max.bytes"]) == 8 << 20
    assert values["auto.create.topics.enable"] == "false"
    assert values["listeners"] == "PLAINTEXT://127.0.0.1:21000,CONTROLLER://127.0.0.1:21001"
    assert "@" not in text.replace("1@127.0.0.1", "").split("# Single", 1)[1].split("\n", 1)[1]


def test_an_old_system_java_is_refused_with_its_version(tmp_path, monkeypatch):
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("M0_JAVA", str(java))
    with pytest.raises(MissingToolError, match="version 11"):
        find_java()
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.9\"' >&2\n")
    assert find_java() == str(java)


def test_a_port_is_free_until_somebody_listens():
    port = ports.free_port()
    assert ports.is_free(port)
    with socket.create_server((ports.LOOPBACK, port)):
        assert not ports.is_free(port)
        assert ports.is_open(port)
        assert str(os.getpid()) in ports.owner(port)
    assert 20000 <= port < 32000


def test_too_little_disk_is_said_with_numbers(tmp_path):
    with pytest.raises(DiskFullError, match="free some space or set M0_HOME"):
        stack._check_disk(tmp_path, need_bytes=1 << 60)


def test_no_address_shows_a_password_or_a_key(tmp_path):
    env = load(
        {
            "M0_HOME": str(tmp_path),
            "M0_PG_DSN": "postgresql://u:hunter2@h:1/d",
            "M0_REDIS_URL": "redis://:hunter2@h:1/0",
            "M0_RPC_URL": "https://node.example/v2/hunter2?api-key=hunter2",
        }
    )
    shown = urls(env)
    assert "hunter2" not in str(shown)
    assert shown["postgres"] == "postgresql://u:***@h:1/d"
    assert shown["rpc"] == "https://node.example/***?***"


def test_following_a_log_sees_new_lines_through_a_rotation(tmp_path):
    path = tmp_path / "x.log"
    path.write_text("old\n")
    lines = logs.follow(path, poll_s=0.01)
    timer = threading.Timer(0.1, lambda: path.open("a").write("one\ntw"))
    timer.start()
    assert next(lines) == "one"
    path.rename(tmp_path / "x.log.1")
    path.write_text("fresh\n")
    assert next(lines) == "fresh"
    assert logs.tail(tmp_path / "x.log.1", 1) == ["tw"]
    assert logs.tail(tmp_path / "none.log", 5) == []


def test_the_environment_file_is_json_the_launcher_can_read(settings):
    settings.run.mkdir(parents=True)
    write_environment(settings, {})
    assert json.loads((settings.run / "environment.json").read_text())["M0_ENV"] == "dev"


def test_a_process_that_keeps_dying_is_never_given_up_and_waits_five_seconds_at_most(monkeypatch):
    import time

    from m0local import supervise
    from supervisor.process import Subprocess
    from supervisor.states import ProcessStates

    monkeypatch.setattr(Subprocess, "change_state", lambda *_: None)
    process = supervise.PatientProcess.__new__(supervise.PatientProcess)
    process.backoff, process.delay = 400, time.time() + 400
    process.change_state(ProcessStates.BACKOFF)
    assert process.backoff <= supervise.MAX_BACKOFF_S
    assert process.delay <= time.time() + supervise.MAX_BACKOFF_S
