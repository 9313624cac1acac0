"""The m0 command: a table of sub-commands, each imported only when it is called, and what other packages add to it."""

import importlib
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, version

import pytest
from m0cli.registry import OWN, Command, RegistryError, commands, missing


def m0(*args, **options):
    return subprocess.run(
        [sys.executable, "-m", "m0cli.main", *args], capture_output=True, text=True, check=False, **options
    )


def test_help_lists_the_commands_without_importing_any():
    code = "import sys; sys.argv = ['m0', '--help']\nimport m0cli.main as m\ntry: m.main()\nexcept SystemExit: pass\n"
    code += "print(*(name for name in sys.modules if name.startswith(('m0cli.', 'm0common.', 'm0chain', 'm0replay'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()[-1].split()) == {"m0cli.main", "m0cli.registry", "m0common.proxies"}
    for name in OWN:
        assert f" {name} " in done.stdout


def test_the_version_is_that_of_the_package():
    done = m0("--version")
    assert (done.returncode, done.stdout) == (0, f"m0 {version('m0cli')}\n")


@pytest.mark.parametrize("args", [("nonsense",), ("verify", "--nonsense")])
def test_wrong_use_exits_with_2(args):
    assert m0(*args).returncode == 2


@pytest.mark.parametrize("name", OWN)
def test_a_command_is_found_in_its_module(name):
    assert hasattr(importlib.import_module(OWN[name].module), "app")


@pytest.fixture
def plugin(tmp_path):
    """Install a package with a command: returns the environment that has it."""

    def install(name: str, table: str) -> dict[str, str]:
        (tmp_path / f"{name}.py").write_text(table)
        metadata = tmp_path / f"{name}-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (metadata / "entry_points.txt").write_text(f"[m0.commands]\n{name} = {name}:COMMANDS\n")
        return {**os.environ, "PYTHONPATH": str(tmp_path)}

    return install


TABLE = "from m0cli.registry import Command\nCOMMANDS = {%r: Command('work', 'Answer.', 'Other')}\n"
WORK = (
    "import typer\n"
    "from m0common.telemetry.logs import logger\n"
    "app = typer.Typer()\n"
    "@app.command()\n"
    "def answer(): logger('x').warning('not_a_manifest', offset=3); print('{}')\n"
)


def test_an_installed_package_adds_a_command_whose_answer_alone_goes_to_standard_output(plugin, tmp_path):
    env = plugin("answers", TABLE % "answer")
    (tmp_path / "work.py").write_text(WORK)
    assert "Answer." in m0("--help", env=env).stdout
    done = m0("answer", env=env)
    assert (done.returncode, done.stdout) == (0, "{}\n")
    assert "not_a_manifest" in done.stderr


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (TABLE % "verify", "'m0 verify' is added by both m0cli and answers:COMMANDS: uninstall one"),
        ("import gone", "the commands of answers:COMMANDS cannot be loaded (No module named 'gone'): install"),
        ("", "the commands of answers:COMMANDS cannot be loaded (module 'answers' has no attribute 'COMMANDS'): inst"),
    ],
)
def test_a_package_that_does_not_fit_is_named_in_one_sentence(plugin, table, said):
    done = m0("--help", env=plugin("answers", table))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"Error: {said}")


def test_two_packages_with_one_command_are_both_named(plugin, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    plugin("one_of_two", TABLE % "answer")
    twice = [EntryPoint(name, "one_of_two:COMMANDS", "m0.commands") for name in ("a", "b")]
    assert commands(twice[:1])["answer"] == Command("work", "Answer.", "Other")
    with pytest.raises(RegistryError, match="'m0 answer' is added by both one_of_two:COMMANDS and one_of_two:COMMANDS"):
        commands(twice)


def test_a_command_of_another_package_of_this_project_is_missed_by_name_and_nonsense_is_not():
    assert "install the package m0local" in missing("up")
    assert missing("upp") is None
