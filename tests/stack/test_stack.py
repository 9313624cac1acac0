"""The supervised stack, for real: it starts, says what runs, restarts what is killed, and stops without a trace."""

import asyncio
import json
import os
import signal
import socket
import time

import psutil
import psycopg
import pytest
import redis
from aiokafka.admin import AIOKafkaAdminClient
from m0common.deployment_record import programs as programs_of
from m0common.deployment_record import read
from m0common.topics import TOPICS
from m0local import readiness
from m0local.control import leftovers
from m0local.processes import SERVERS

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def wait_ready(stack, name, not_pid, timeout_s=90):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        now = stack.service(name)
        if now["ready"] and now["pid"] != not_pid:
            return now
        time.sleep(0.2)
    raise AssertionError(f"{name} did not come back: {now}")


def test_servers_are_ready_and_nothing_else_runs(servers):
    status = servers.status()
    assert set(status) == {"services", "urls"}
    ready = {entry["name"] for entry in status["services"] if entry["ready"]}
    assert ready == set(SERVERS)
    for entry in status["services"]:
        assert set(entry) == {"name", "pid", "state", "ready", "restarts", "port"}
        assert (entry["state"] == "running") == entry["ready"]


def test_every_topic_and_the_schema_are_there(servers):
    async def names():
        admin = AIOKafkaAdminClient(**servers.kafka().connection())
        await admin.start()
        try:
            return set(await admin.list_topics())
        finally:
            await admin.close()

    assert {topic.name for topic in TOPICS} <= asyncio.run(names())
    with psycopg.connect(servers.settings.pg_dsn) as conn:
        assert conn.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_the_programs_are_deployed_and_their_ids_are_noted(servers):
    programs = programs_of(read(servers.settings.deployment_file))
    assert {"oracle", "registry"} <= set(programs)
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "getAccountInfo",
        "params": [programs["oracle"], {"encoding": "base64"}],
    }
    status, body = readiness.request(servers.settings.port("localnet"), "POST", "/", json.dumps(call))
    assert status == 200
    assert json.loads(body)["result"]["value"]["executable"] is True


def test_the_catalogs_of_the_configuration_are_in_the_log(servers):
    found = json.loads(servers.run("catalog", "list", "--json").stdout)["catalogs"]
    assert {(entry["catalog"], entry["next_generation"]) for entry in found} == {("crypto", 1), ("sports", 1)}
    plan = servers.run("catalog", "plan", "sports", "--json")
    assert json.loads(plan.stdout)["changes"] == []
    done = servers.run("catalog", "set", "sports", "--yes", "--timeout", "1")
    assert done.returncode == 1
    assert "no marker names generation 1" in done.stderr


def test_a_second_up_says_that_it_already_runs(servers):
    before = {entry["name"]: entry["pid"] for entry in servers.status()["services"]}
    done = servers.run("up", "--only", ",".join(SERVERS))
    assert done.returncode == 0
    assert "Already running." in done.stdout
    assert {entry["name"]: entry["pid"] for entry in servers.status()["services"]} == before


def test_other_settings_than_the_running_ones_are_refused(servers):
    elsewhere = {"M0_PORT_OFFSET": str(servers.settings.offset + 1)}
    asked = servers.run("status", **elsewhere)
    assert (asked.returncode, asked.stderr.startswith("The stack was started with other settings")) == (0, True)
    assert servers.run("status").stderr == ""
    done = servers.run("up", "--only", "valkey", **elsewhere)
    assert done.returncode == 1
    assert "make down" in done.stderr


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_killed_with_9_is_back_with_its_data(servers, name):
    client = redis.Redis.from_url(servers.settings.redis_url)
    client.set("kept", name)
    client.close()
    time.sleep(1.2)
    before = servers.service(name)
    os.kill(before["pid"], signal.SIGKILL)
    after = wait_ready(servers, name, before["pid"])
    assert after["restarts"] > before["restarts"]
    client = redis.Redis.from_url(servers.settings.redis_url)
    assert client.get("kept") == name.encode()
    client.close()
    with psycopg.connect(servers.settings.pg_dsn) as conn:
        assert conn.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_idle_servers_need_under_900_mb(servers):
    used = 0
    for entry in servers.status()["services"]:
        if entry["pid"]:
            process = psutil.Process(entry["pid"])
            family = [process, *process.children(recursive=True)]
            used += sum(member.memory_full_info().pss for member in family)
    assert used < 900 << 20


def test_logs_prints_the_last_lines_of_a_server(servers):
    done = servers.run("logs", "kafka", "-n", "3")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3


def test_the_passphrase_is_secret_and_stays_the_same(servers):
    path = servers.settings.passphrase_file
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().strip()) >= 40


def test_up_after_a_killed_supervisor_takes_over_and_down_leaves_no_process(make_stack):
    stack = make_stack()
    assert stack.run("up", "--only", "valkey").returncode == 0
    orphan = stack.service("valkey")["pid"]
    supervisor = int((stack.settings.run / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    assert psutil.pid_exists(orphan)
    done = stack.run("up", "--only", "valkey")
    assert done.returncode == 0, done.stderr
    assert stack.service("valkey")["pid"] != orphan
    started = time.monotonic()
    assert stack.run("down").returncode == 0
    assert time.monotonic() - started < 10
    assert leftovers(stack.settings) == []
    assert stack.run("down").stdout == "Nothing was running.\n"


def test_a_taken_port_is_named_with_its_owner_and_a_remedy(make_stack):
    stack = make_stack()
    with socket.create_server(("127.0.0.1", stack.settings.port("valkey"))):
        done = stack.run("up", "--only", "valkey")
    assert done.returncode == 1
    assert f"Port {stack.settings.port('valkey')}, needed by valkey, is taken by" in done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert "M0_PORT_OFFSET" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_external_server_is_used_instead_of_our_own(servers, make_stack):
    stack = make_stack()
    url = servers.settings.redis_url
    done = stack.run("up", "--only", "valkey", M0_REDIS_URL=url)
    assert done.returncode == 0, done.stderr
    assert url in done.stdout
    assert not (stack.home / "valkey").exists()
    stack.run("down")


def test_an_external_server_that_does_not_answer_is_named(make_stack):
    stack = make_stack()
    port = stack.settings.port("valkey")
    done = stack.run("up", "--only", "valkey", M0_REDIS_URL=f"redis://:secret@127.0.0.1:{port}/0")
    assert done.returncode == 1
    assert f"M0_REDIS_URL names 127.0.0.1:{port}" in done.stderr
    assert "secret" not in done.stderr


def test_a_service_that_cannot_start_is_named_with_the_end_of_its_log(make_stack):
    stack = make_stack()
    done = stack.run("up", "--only", "jobs", "--timeout", "20", M0_CONFIG_PATH="/nonexistent.toml")
    assert done.returncode == 1
    assert "jobs keeps dying" in done.stderr or "jobs was not ready" in done.stderr
    assert str(stack.settings.logs / "jobs.log") in done.stderr


def test_two_ups_at_once_start_one_stack(make_stack):
    stack = make_stack()
    both = [stack.begin("up", "--only", "valkey") for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("Already running." in text for text in said) == 1
    assert sum("waiting for it" in text for text in said) == 1


def test_clean_drops_data_and_keys_but_not_downloads(make_stack):
    stack = make_stack()
    assert stack.run("up", "--only", "valkey").returncode == 0
    (stack.home / "cache").mkdir()
    done = stack.run("clean")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in stack.home.iterdir() if not path.name.startswith(".")} == {"cache"}


def test_clean_refuses_a_directory_that_no_stack_made(make_stack, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").touch()
    done = make_stack(home=precious).run("clean")
    assert done.returncode == 2
    assert (precious / "thesis.txt").exists()
