"""The m0 command: a table of sub-commands, each imported only when it is called."""

import json
import subprocess
import sys

import pytest
from m0cli.main import COMMANDS, load


def m0(*args, **options):
    return subprocess.run(
        [sys.executable, "-m", "m0cli.main", *args], capture_output=True, text=True, check=False, **options
    )


def test_help_lists_the_commands_without_importing_any():
    code = "import sys; sys.argv = ['m0', '--help']\nimport m0cli.main as m\ntry: m.main()\nexcept SystemExit: pass\n"
    code += "print([name for name in sys.modules if name.startswith(('m0cli.', 'm0local', 'm0common'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['m0cli.main']"
    for name in ("up", "down", "status", "logs", "clean"):
        assert f" {name} " in done.stdout


@pytest.mark.parametrize("name", ["up", "down", "status", "logs", "clean"])
def test_every_command_of_the_stack_has_help_and_json(name):
    done = m0(name, "--help")
    assert done.returncode == 0
    assert "--json" in done.stdout


@pytest.mark.parametrize(
    "args", [("nonsense",), ("up", "--nonsense"), ("logs",), ("logs", "nobody"), ("up", "--only", "x")]
)
def test_wrong_use_exits_with_2(args, tmp_path):
    assert m0(*args).returncode == 2


def test_a_command_is_found_in_its_module():
    assert load("status").name == "status"
    assert COMMANDS["status"].module == "m0cli.stack"


def test_status_of_a_stack_that_does_not_run_is_still_an_answer(tmp_path):
    done = m0("status", "--json", env={"M0_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    status = json.loads(done.stdout)
    assert {entry["state"] for entry in status["services"]} == {"stopped"}
    assert not any(entry["ready"] for entry in status["services"])


def test_what_a_command_logs_goes_to_standard_error_and_its_answer_alone_to_standard_output():
    code = (
        "import sys, types, typer\n"
        "import m0cli.main as m\n"
        "from m0common.telemetry.logs import logger\n"
        "answers = types.ModuleType('answers')\n"
        "answers.__spec__ = m.importlib.util.spec_from_loader('answers', None)\n"
        "answers.app = typer.Typer()\n"
        "@answers.app.command()\n"
        "def answer(): logger('x').warning('not_a_manifest', offset=3); print('{}')\n"
        "sys.modules['answers'] = answers\n"
        "m.COMMANDS['answer'] = m.Command('answers', '', m.USE)\n"
        "sys.argv = ['m0', 'answer']\n"
        "m.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "{}\n"
    assert "not_a_manifest" in done.stderr
