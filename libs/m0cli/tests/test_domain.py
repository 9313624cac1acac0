"""`m0 domain check` on domains of a stranger, installed beside the project: what it finds and how it says so."""

import json
import os
import re
import subprocess
import sys

import pytest

CODE = """
from collections.abc import Mapping, Sequence
import msgspec
from typing import Annotated
from m0common.canonical import FLAGS
from m0lanes.port import NOTHING, Distribution, Put, Step

class Roll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    face: Annotated[int, msgspec.Meta(ge=1, le=6)]

class Rolled(msgspec.Struct, frozen=True, array_like=True):
    face: int

class Count(msgspec.Struct, frozen=True, array_like=True):
    rolls: int

class Uniform:
    name = "uniform"
    version = 1
    entities = {"count": Count}
    learns = ("rolled",)
    def artifact(self): return b"faces=6"
    def learn(self, view, body):
        seen = view.get(Count)
        return Step((Put((), Count(body.face if seen is None else seen.rolls + body.face)),))
    def predict(self, view, market, row):
        if len(market.outcomes) != 2: return Distribution.blocked(FLAGS.LOW_COVERAGE)
        p = 500_000_000 if view.get(Count) is None else view.get(Count).rolls % 1_000_000_000
        return Distribution(((p, 0, 1_000_000_000), (1_000_000_000 - p, 0, 1_000_000_000)), 0, FLAGS(0))

class Dice:
    name = "dice"
    version = 1
    payloads = {"roll": Roll}
    bodies = {"rolled": Rolled}
    normalize_entities = {}
    feature_entities = {}
    deciding = ("__init__.py",)
    models = {"uniform": Uniform()}
    def check(self, kind, payload): pass
    def outcome(self, kind, payload, outcomes): return None
    def normalize(self, view, event): return Step(say=(Rolled(event.payload.face),))
    def observe(self, view, body): return NOTHING
    def features(self, view, market, at_ms): return {}
    def forget(self, view, market): return NOTHING

DOMAIN = Dice()
"""


def check(folder, code, *args, name="dice"):
    """The command's exit code, output and errors with a domain `dice` of this code installed."""
    (folder / "dice").mkdir()
    (folder / "dice/__init__.py").write_text(code)
    (folder / "dice/other.py").write_text("X = 1\n")
    (folder / "dice-1.dist-info").mkdir()
    (folder / "dice-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: dice\nVersion: 1\n")
    (folder / "dice-1.dist-info/entry_points.txt").write_text(f"[m0.domains]\n{name} = dice:DOMAIN\n")
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


@pytest.mark.parametrize(
    ("good", "bad", "finding"),
    [
        ('name = "dice"', 'name = "cube"', "it calls itself 'cube'"),
        ('{"roll": Roll}', '{"market_open": Roll}', "kind 'market_open' is the heart's own"),
        ('{"rolled": Rolled}', '{"marker": Rolled}', "body 'marker' is the heart's own"),
        ('("__init__.py",)', '("__init__.py", "faces.csv")', "deciding names 'faces.csv'"),
        ("import msgspec\n", "import msgspec\nfrom dice import other\n", "imports dice.other, which is not among"),
        ("import msgspec\n", "import msgspec\nimport typer\n", "imports typer: a release does not hash it"),
        ("import msgspec\n", "import msgspec\nimport random\n", "imports random: it is not pure"),
        ("Annotated[int, msgspec.Meta(ge=1, le=6)]", "int", "payload roll: Roll.face has no bounds"),
        ("    rolls: int", "    rolls: float", "entity count: Count.rolls is a float"),
        (
            "Rolled(msgspec.Struct, frozen=True,",
            "Rolled(msgspec.Struct,",
            "body rolled: Rolled can be changed in place",
        ),
        ('learns = ("rolled",)', 'learns = ("thrown",)', "learns 'thrown', which is no body"),
        ('{"uniform": Uniform()}', "{}", "it has no model"),
        ('{"roll": Roll}', "{}", "it has no payload"),
        ('{"uniform": Uniform()}', '{"flat": Uniform()}', "model 'flat' calls itself 'uniform'"),
        ('return b"faces=6"', 'return repr({"a", "b", "c", "d", "e"}).encode()', "the order of a set"),
    ],
)
def test_a_fault_is_named_and_the_exit_code_says_so(tmp_path, good, bad, finding):
    assert good in CODE
    code, said, _ = check(tmp_path, CODE.replace(good, bad), "dice")
    assert code == 1
    assert finding in said


SAYS = "return Step(say=(Rolled(event.payload.face),))"


@pytest.mark.parametrize(
    ("bad", "finding"),
    [
        (
            "self.n = getattr(self, 'n', 0) + 1; return Step(say=(Rolled(self.n),))",
            "played a second time, stage normal",
        ),
        ("return Step(say=(Rolled(len(min({'a', 'bb', 'ccc'}, key=lambda w: 0))),))", "depends on the order of a set"),
        ("raise ValueError(event.kind)", "normalize of a roll: raises ValueError('roll')"),
    ],
    ids=["it keeps state of its own", "it depends on the order of a set", "it raises"],
)
def test_a_fault_that_shows_when_events_are_played_is_named(tmp_path, bad, finding):
    code, said, _ = check(tmp_path, CODE.replace(SAYS, bad), "dice")
    assert code == 1
    assert finding in said


def test_a_domain_that_cannot_be_imported_is_named(tmp_path):
    code, _, told = check(tmp_path, "import nothing_of_this_name\n")
    assert code == 1
    assert "Error: domain dice (dice:DOMAIN) cannot be imported: ModuleNotFoundError" in told


def test_a_name_that_is_not_installed_is_wrong_use(tmp_path):
    code, _, told = check(tmp_path, CODE, "dcie")
    assert code == 2
    assert "no domain 'dcie' is installed: there is crypto, dice, sports" in told


def test_as_json(tmp_path):
    code, said, _ = check(tmp_path, CODE.replace("    rolls: int", "    rolls: float"), "--json", "dice", "crypto")
    assert code == 1
    dice, crypto = json.loads(said)["domains"]
    assert dice["domain"] == "dice"
    assert dice["release"] is None
    assert ["float" in finding for finding in dice["findings"]] == [True]
    assert crypto["findings"] == []
    assert len(crypto["release"]) == 64
