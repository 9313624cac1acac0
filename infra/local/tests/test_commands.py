"""What this package adds to the m0 command: its own commands, and where this stack is for those of others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from m0cli import registry
from m0cli.stack_settings import recorded
from m0cli.targets import resolve
from m0common.deployment_record import write
from m0common.errors import SettingsError
from m0local.cli import _print_addresses
from m0local.commands import COMMANDS
from m0local.environment import command_environment, write_environment
from m0local.progress import Lasting
from m0local.settings import load
from m0local.status import status as stack_status


def m0(*args, **options):
    return subprocess.run(
        [sys.executable, "-m", "m0cli.main", *args], capture_output=True, text=True, check=False, **options
    )


def test_help_lists_them_without_importing_the_stack():
    code = "import sys; sys.argv = ['m0', '--help']\nimport m0cli.main as m\ntry: m.main()\nexcept SystemExit: pass\n"
    code += "print([name for name in sys.modules if name.startswith('m0local')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['m0local', 'm0local.commands']"
    for name, command in COMMANDS.items():
        assert f" {name} " in done.stdout
        assert command.help in done.stdout


def test_they_are_those_that_the_command_misses_where_this_package_is_not():
    assert dict.fromkeys(COMMANDS, "m0local") == registry.STACK
    assert registry.commands() == COMMANDS | registry.OWN


@pytest.mark.parametrize("name", COMMANDS)
def test_each_has_help_and_json(name):
    done = m0(name, "--help")
    assert done.returncode == 0
    # the chain alone becomes the node's own process, and answers nothing
    assert ("--json" in done.stdout) == (name != "localnet")


@pytest.mark.parametrize("args", [("up", "--nonsense"), ("logs",), ("logs", "nobody"), ("up", "--only", "x")])
def test_wrong_use_exits_with_2(args):
    assert m0(*args).returncode == 2


def test_status_of_a_stack_that_does_not_run_is_still_an_answer(tmp_path):
    done = m0("status", "--json", env={"M0_HOME": str(tmp_path), "PATH": os.defpath})
    status = json.loads(done.stdout)
    assert {entry["state"] for entry in status["services"]} == {"stopped"}
    assert not any(entry["ready"] for entry in status["services"])


def test_the_other_commands_are_told_where_this_stack_is(tmp_path):
    env = {"M0_HOME": str(tmp_path), "M0_PORT_OFFSET": "100", "M0_API_BASE": "https://api.example"}
    write(load(env).deployment_file, {"programs": {"oracle": "Or1"}, "genesis_hash": "ab" * 32})
    told = command_environment(env)
    assert {name: told[name] for name in told if name.endswith(("_URL", "_BASE", "_BOOTSTRAP", "_ID", "_HASH"))} == {
        "M0_API_BASE": "http://127.0.0.1:8180",
        "M0_STREAM_URL": "ws://127.0.0.1:8190/ws",
        "M0_RPC_URL": "http://127.0.0.1:8999",
        "M0_WS_URL": "ws://127.0.0.1:9000",
        "M0_PUBLIC_RPC_URL": "http://127.0.0.1:8999",
        "M0_PUBLIC_WS_URL": "ws://127.0.0.1:9000",
        "M0_REDIS_URL": "redis://127.0.0.1:6479/0",
        "M0_KAFKA_BOOTSTRAP": "127.0.0.1:9192",
    }
    assert told["M0_DEPLOYMENT_FILE"] == str(tmp_path / "deployment.json")
    assert recorded(told) == {"oracle_program_id": "Or1", "genesis_hash": "ab" * 32}
    assert told["M0_CONTROL_KEY_FILE"] == str(tmp_path / "control" / "control.json")


def test_commands_for_another_deployment_take_nothing_from_this_stack(tmp_path):
    env = {"M0_HOME": str(tmp_path)}
    elsewhere = [
        env | {"M0_KAFKA_BOOTSTRAP": "kafka.example:9092"},
        env | {"M0_CONFIG_PATH": "config/prod.toml"},
        env | {"M0_ENV": "prod"},
    ]
    assert command_environment(env)["M0_KAFKA_USERNAME"] == "operator"
    assert [command_environment(other) for other in elsewhere] == [{}, {}, {}]  # nor from one that was never started
    started(env)
    assert [command_environment(other) for other in elsewhere] == [{}, {}, {}]
    assert command_environment(env | {"M0_ENV": "dev"})["M0_KAFKA_USERNAME"] == "operator"
    assert command_environment(env)["M0_KAFKA_USERNAME"] == "operator"


def test_commands_know_the_ports_that_the_stack_was_started_with(tmp_path):
    env = {"M0_HOME": str(tmp_path)}
    started(env | {"M0_PORT_OFFSET": "300"})
    assert command_environment(env)["M0_KAFKA_BOOTSTRAP"] == "127.0.0.1:9392"
    assert command_environment(env | {"M0_PORT_OFFSET": "0"})["M0_API_BASE"] == "http://127.0.0.1:8080"


def test_commands_know_the_archive_that_services_were_told(tmp_path):
    env = {"M0_HOME": str(tmp_path)}
    keys = {"M0_ARCHIVE_ACCESS_KEY_ID": "k", "M0_ARCHIVE_SECRET_ACCESS_KEY_FILE": "/s"}
    started(env | keys | {"M0_ARCHIVE_URL": "s3://bucket/a"})
    told = command_environment(env)
    assert {name: told[name] for name in told if "ARCHIVE" in name} == keys | {"M0_ARCHIVE_URL": "s3://bucket/a"}
    other = command_environment(env | {"M0_ARCHIVE_URL": "s3://bucket/b", "M0_ARCHIVE_SECRET_ACCESS_KEY": "t"})
    assert (other["M0_ARCHIVE_URL"], other["M0_ARCHIVE_SECRET_ACCESS_KEY"]) == ("s3://bucket/b", "t")
    assert "M0_ARCHIVE_SECRET_ACCESS_KEY_FILE" not in other


def test_commands_for_a_stack_with_servers_and_settings_of_the_users_find_it_however_they_are_spelt(tmp_path):
    (tmp_path / "linked").symlink_to(tmp_path)
    (tmp_path / "my.toml").write_text("")
    env = {"M0_HOME": str(tmp_path), "M0_KAFKA_BOOTSTRAP": "a:1,b:1", "M0_CONFIG_PATH": str(tmp_path / "my.toml")}
    started(env)
    for path in ("my.toml", "../" + tmp_path.name + "/my.toml", "linked/my.toml"):
        said = env | {"M0_KAFKA_BOOTSTRAP": "b:1, a:1", "M0_CONFIG_PATH": str(tmp_path / path)}
        assert command_environment(said)["M0_HOME"] == str(tmp_path)


def started(env):
    """What `make up` notes."""
    (Path(env["M0_HOME"]) / "run").mkdir()
    write_environment(load(env), env)


@pytest.mark.parametrize("variable", ["M0_PG_DSN", "M0_REDIS_URL", "M0_RPC_URL", "M0_WS_URL"])
def test_a_file_with_the_address_of_a_server_is_refused_instead_of_starting_the_stacks_own(tmp_path, variable):
    env = {"M0_HOME": str(tmp_path), f"{variable}_FILE": "/run/address", "PATH": os.defpath}
    done = m0("up", env=env)
    assert done.returncode != 0
    said = " ".join(done.stderr.replace("│", " ").split())
    assert f"{variable}_FILE does not say which server a local stack uses: set {variable} to the address" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("variable", "value"), [("M0_RPC_URL", "127.0.0.1:8899"), ("M0_WS_URL", "node"), ("M0_KAFKA_BOOTSTRAP", "kafka")]
)
def test_an_address_that_no_client_takes_is_refused_before_anything_starts(tmp_path, variable, value):
    done = m0("up", env={"M0_HOME": str(tmp_path), variable: value, "PATH": os.defpath})
    assert done.returncode == 2
    assert f"Error: {variable}: write " in done.stderr
    assert not (tmp_path / "run").exists()


def test_addresses_are_printed_of_what_runs(tmp_path, capsys):
    env = load({"M0_HOME": str(tmp_path)})
    write(env.deployment_file, {"programs": {"oracle": "Or1"}})
    state = stack_status(env)
    for entry in state["services"]:
        entry["state"] = "running" if entry["name"] in {"kafka", "realtime"} else "stopped"
    _print_addresses(Lasting(), env, state)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines() if line] == ["WebSocket", "Kafka"]


def test_a_variable_that_makes_no_sense_is_named_to_every_command():
    with pytest.raises(SettingsError, match="M0_PORT_OFFSET=much is not a number"):
        command_environment({"M0_PORT_OFFSET": "much"})
    for args in (("config", "show"), ("verify", "M")):
        done = m0(*args, env={"M0_PORT_OFFSET": "much", "PATH": os.defpath})
        assert done.returncode in (1, 2)
        assert "M0_PORT_OFFSET=much is not a number" in " ".join(done.stderr.replace("│", " ").split())
        assert "Traceback" not in done.stderr


def test_another_deployment_inherits_nothing_of_this_stack(tmp_path, monkeypatch):
    monkeypatch.setenv("M0_HOME", str(tmp_path))
    write(load(os.environ).deployment_file, {"programs": {"oracle": "Or1"}})
    here = resolve(None, None, None)
    assert (here.api, here.rpc, here.program, here.stream) == (
        "http://127.0.0.1:8080", "http://127.0.0.1:8899", "Or1", "ws://127.0.0.1:8090/ws",
    )  # fmt: skip
    assert resolve("http://127.0.0.1:8080/", None, None).program == "Or1"
    there = resolve("https://api.example", None, None)
    assert (there.api, there.rpc, there.program, there.stream) == ("https://api.example", None, None, None)
