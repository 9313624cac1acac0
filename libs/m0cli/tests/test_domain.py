"""`m0 domain check` on domains of a stranger, installed beside the project: what it finds and how it says so."""

import json
import os
import re
import subprocess
import sys

import pytest
from dice_world import CODE, broken, install


def check(folder, code, *args):
    """The command's exit code, output and errors with a domain `dice` of this code installed."""
    install(folder, code)
    done = subprocess.run(
        [sys.executable, "-c", "from m0cli.main import main; main()", "domain", "check", *args],
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_domain_that_keeps_the_rules_is_clear_beside_those_of_the_project(tmp_path):
    code, said, told = check(tmp_path, CODE)
    assert code == 0
    assert [line.split()[0] for line in said.splitlines()] == ["crypto", "dice", "sports"]
    # whoever waits hears what is being done
    assert [line for line in told.splitlines() if line.startswith("dice: ")] == [
        "dice: reads its files, types and models ...",
        "dice: plays events into it, again, and restarted behind each ...",
        "dice: asks 3 fresh interpreters for the same ...",
    ]
    assert len(re.findall(r": all clear, release [0-9a-f]{12}$", said, re.MULTILINE)) == 3


ONE_OF_THREE = "import os\nif os.environ.get('PYTHONHASHSEED') == '3': os._exit({})\n"
"""Ends the process in one of the fresh interpreters alone."""
UNREAD = broken('("__init__.py",)', "()")
"""The same with no deciding files, so that what it imports is not looked at."""


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        (
            broken('return b"faces=6"', 'return repr({"a", "b", "c", "d", "e"}).encode()'),
            "its artifacts depend on the order of a set",
        ),
        (
            broken("Rolled(event.payload.face)", "Rolled(len(min({'a', 'bb', 'ccc'}, key=lambda w: 0)))"),
            "what it says of the same events depends on the order of a set",
        ),
        (UNREAD + ONE_OF_THREE.format(4), "asked in a fresh process it fails: it ends with code 4 and says nothing"),
        (UNREAD + ONE_OF_THREE.format(0), "asked in a fresh process it does not answer, but says ''"),
    ],
    ids=["artifact", "play", "ends", "ends as if all were well"],
)
def test_what_shows_in_fresh_processes_alone_is_named(tmp_path, code, finding):
    exit_code, said, _ = check(tmp_path, code, "dice")
    assert exit_code == 1
    assert said.startswith(f"dice: {finding}")


def test_a_domain_that_cannot_be_imported_is_named_and_others_are_checked(tmp_path):
    code, said, _ = check(tmp_path, "raise SystemExit(0)\n", "dice", "crypto")
    assert code == 1
    assert "dice: dice:DOMAIN cannot be imported: SystemExit(0)" in said.splitlines()
    assert re.search(r"^crypto \d+: all clear", said, re.MULTILINE)


def test_a_name_that_is_not_installed_is_wrong_use(tmp_path):
    code, _, told = check(tmp_path, CODE, "dcie")
    assert code == 2
    assert "no domain 'dcie' is installed: there is crypto, dice, sports" in told


def test_as_json_it_prints_one_object_whatever_a_domain_prints(tmp_path):
    talks = "print('hello')\n" + broken("    rolls: int", "    rolls: float")
    code, said, _ = check(tmp_path, talks, "--json", "dice", "crypto")
    assert code == 1
    dice, crypto = json.loads(said)["domains"]
    assert dice["domain"] == "dice"
    assert dice["release"] is None
    assert ["float" in finding for finding in dice["findings"]] == [True]
    assert crypto["findings"] == []
    assert len(crypto["release"]) == 64
