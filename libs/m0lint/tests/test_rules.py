"""Each rule finds what it is for, and leaves what it is not for alone."""

import ast
from importlib import import_module
from pathlib import Path
from typing import get_origin

import pytest
from m0common.topics import Topic
from m0lanes import release
from m0lint.main import check, check_pure
from m0lint.rules import PURE, RULES, Rule

ROOT = Path(__file__).parents[3]
RUNNING = {
    ("m0common.stream.core", "MARKERS_DUE"),
    ("m0common.stream.core", "nothing"),
    ("m0common.stream.restored", "LANE_STAGES"),
    ("m0common.topics", "ONCE_MAX_BYTES"),
    ("m0common.told", "in_words"),
    ("m0common.topics", "STATE"),
}
"""What hashed code takes from code that is not, beside types and topics: how a stage is run and written down, and what
a letter says.
"""
LANE = Path("libs/m0lanes/src/m0lanes/x.py")
CANONICAL = Path("libs/m0common/src/m0common/canonical/x.py")
QUANT = Path("libs/m0quant/src/m0quant/x.py")
DOMAIN = Path("libs/m0domains/src/m0domains/sports/models.py")
MESSAGES = Path("libs/m0common/src/m0common/messages/x.py")
SERVICE = Path("services/api/src/m0_api/x.py")
STEP = Path("libs/m0index/src/m0index/migrations/versions/0009_x.py")
INFRA = Path("infra/local/src/m0local/x.py")


def codes(path: Path, text: str) -> list[str]:
    return [finding.split(": ")[1].split(" ")[0] for finding in check(path, text)]


@pytest.mark.parametrize(
    ("path", "text", "code"),
    [
        (SERVICE, "q = 'SELECT * FROM markets'", "M0L013"),
        (SERVICE, "q = f'select m.* FROM {x}'", "M0L013"),
        (SERVICE, "q = 'DELETE FROM a RETURNING *'", "M0L013"),
        (STEP, "def upgrade(): op.execute('DROP TABLE markets')", "M0L014"),
        (STEP, "SQL = ('ALTER TABLE markets DROP COLUMN title',)", "M0L014"),
        (STEP, "SQL = ('ALTER TABLE markets RENAME TO m',)", "M0L014"),
        (STEP, "SQL = ('ALTER TABLE markets ALTER COLUMN opens_ms TYPE integer',)", "M0L014"),
        (STEP, "SQL = ('ALTER TABLE markets ALTER resolution SET NOT NULL',)", "M0L014"),
        (STEP, "SQL = ('ALTER TABLE markets ADD COLUMN x text NOT NULL',)", "M0L014"),
        (STEP, "SQL = ('ALTER TABLE markets ADD COLUMN x text NOT NULL, ADD COLUMN y text DEFAULT 1',)", "M0L014"),
        (STEP, "SQL = ('ALTER TABLE markets ADD CONSTRAINT c CHECK (x > 1)',)", "M0L014"),
        (STEP, "SQL = ('CREATE UNIQUE INDEX i ON markets (title)',)", "M0L014"),
        (STEP, "SQL = ('CREATE TABLE other (x text)', 'ALTER TABLE markets DROP title')", "M0L014"),
        (LANE, "import time\ntime.monotonic()", "M0L001"),
        (LANE, "from datetime import datetime\ndatetime.now()", "M0L001"),
        (LANE, "import random\nrandom.random()", "M0L002"),
        (LANE, "import random\nrandom.Random()", "M0L002"),
        (LANE, "import os\nos.urandom(3)", "M0L002"),
        (LANE, "import math\nmath.exp(1)", "M0L003"),
        (LANE, "import math\ny = map(math.exp, x)", "M0L003"),
        (LANE, "from math import erf as f\nf(1)", "M0L003"),
        (LANE, "import math\nmath.atan2(1, 2)", "M0L003"),
        (LANE, "import cmath\ncmath.sqrt(1)", "M0L003"),
        (DOMAIN, "import math\nmath.cbrt(2)", "M0L003"),
        (LANE, "hash('a')", "M0L002"),
        (LANE, "sorted(x, key=id)", "M0L002"),
        (CANONICAL, "x = 1 / 2", "M0L004"),
        (CANONICAL, "x = 0.5", "M0L004"),
        (CANONICAL, "x = float(3)", "M0L004"),
        (LANE, "import struct\nstruct.pack('<d', 1)", "M0L005"),
        (LANE, "for x in {1, 2}: pass", "M0L006"),
        (LANE, "y = [x for x in set(z)]", "M0L006"),
        (CANONICAL, "for k, v in d.items(): pass", "M0L007"),
        (MESSAGES, "class A:\n    x: float", "M0L004"),
        (DOMAIN.with_name("payloads.py"), "class A:\n    x: float", "M0L004"),
        (DOMAIN, "import time\ntime.time()", "M0L001"),
        (QUANT, "import math\nmath.fsum(x)", "M0L010"),
        (QUANT, "import math\nmath.hypot(1, 2)", "M0L010"),
        (QUANT, "from statistics import mean\nmean(x)", "M0L010"),
        (QUANT, "import statistics as s\ny = map(s.fmean, x)", "M0L010"),
        (QUANT, "sum(x)", "M0L010"),
        (QUANT, "sum(p * 0.5 for p in x)", "M0L010"),
        (QUANT, "sum([0.1, 0.2])", "M0L010"),
        (QUANT, "sum(range(3), 0.5)", "M0L010"),
        (QUANT, "sum(range(3), start=0.5)", "M0L010"),
        (QUANT, "y = list(map(sum, x))", "M0L010"),
        (QUANT, "def f(x: list[float]): return sum(x)", "M0L010"),
        (QUANT, "def f(x: list[int]): ...\ndef g(x): return sum(x)", "M0L010"),
        (QUANT, "def f(x: int, y): return sum(x for x in y)", "M0L010"),
        (QUANT, "def f(x: dict[int, float]): return sum(x.values())", "M0L010"),
        (QUANT, "class A:\n    def sum(self): return 1\nsum(x)", "M0L010"),
        (DOMAIN, "sum(x)", "M0L010"),
        (QUANT, "x = 2 ** 0.5", "M0L011"),
        (QUANT, "x = 2 ** n", "M0L011"),
        (QUANT, "x = 10 ** -1", "M0L011"),
        (QUANT, "x = y ** 2", "M0L011"),
        (QUANT, "y **= 2", "M0L011"),
        (QUANT, "y = pow(x, n)", "M0L011"),
        (QUANT, "import math\nmath.pow(x, 2)", "M0L011"),
        (QUANT, "from operator import pow as p\nfunctools.reduce(p, x)", "M0L011"),
        (SERVICE, "import time\nasync def f():\n    time.sleep(1)", "M0L008"),
        (SERVICE, "import time\ntime.time()", "M0L009"),
        (SERVICE, "import msgspec\ntry: read(x)\nexcept msgspec.MsgspecError: pass", "M0L012"),
        (SERVICE, "from msgspec import DecodeError as E\ntry: read(x)\nexcept (OSError, E): pass", "M0L012"),
        (LANE, "import msgspec\ntry: read(x)\nexcept msgspec.ValidationError: pass\nexcept ValueError: pass", "M0L012"),
        (SERVICE, "import msgspec\ntry: msgspec.convert(read(x), A)\nexcept msgspec.ValidationError: pass", "M0L012"),
        (SERVICE, "import msgspec\ntry: read(x)\nexcept UNDECODABLE: pass\nexcept msgspec.DecodeError: pass", "M0L012"),
        (INFRA, "import contextlib, msgspec\nwith contextlib.suppress(msgspec.DecodeError): read(x)", "M0L012"),
        (SERVICE, "from prometheus_client import Counter", "M0L015"),
        (INFRA, "import prometheus_client.metrics as m", "M0L015"),
        (SERVICE.with_name("metrics.py"), "import prometheus_client", "M0L015"),
        (SERVICE, "from m0common.telemetry.metrics import counter\nX = counter('m0_x_total')", "M0L016"),
        (INFRA, "from m0common.telemetry import metrics\nX = metrics.gauge('m0_x')", "M0L016"),
    ],
)
def test_it_finds(path: Path, text: str, code: str):
    assert code in codes(path, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (LANE, "import random\nrandom.Random(7)"),
        (LANE, "import math\nmath.sqrt(2)\nmath.isfinite(x)\nmath.inf"),
        (QUANT, "def f(x: list[int]): return sum(x)"),
        (QUANT, "def f(x: Sequence[int]): return sum(w * 3 for w in x)"),
        (QUANT, "def f(x: tuple[int, ...]): return sum(x, 1)"),
        (QUANT, "def f(x: dict[str, int]): return sum(x.values())"),
        (QUANT, "def f(x):\n    y: list[int] = [int(z) for z in x]\n    return sum(y)"),
        (QUANT, "sum(len(x) for x in y)\nsum(map(len, y))\nsum(1 for x in y)\nsum(x > 1 for x in y)\nsum([1, 2])"),
        (QUANT, "def sum(x): ...\nsum(y)"),
        (QUANT, "from m0quant.detmath import pow\npow(x, n)"),
        (QUANT, "x = 10 ** 9\ny = pow(a, b, m)\ndef f(n: int): return n ** 2"),
        (DOMAIN.with_name("dataset.py"), "import time\nsum(x)"),
        (SERVICE, "y = sum(x) ** n"),
        (CANONICAL, "for k, v in sorted(d.items()): pass\nx = 7 // 2"),
        (LANE, "for x in sorted({1, 2}): pass"),
        (SERVICE, "import time\nasync def f():\n    def g():\n        time.sleep(1)\n    return g"),
        (SERVICE, "import time\ntime.monotonic()"),
        (SERVICE, "import time\ntime.time()  # m0lint: allow M0L009 the one place that may"),
        (Path("libs/m0common/src/m0common/clock.py"), "import time\ntime.time_ns()"),
        (SERVICE, "try: read(x)\nexcept (OSError, *UNDECODABLE): pass"),
        (SERVICE, "q = 'SELECT count(*) AS n, a * b FROM markets'"),
        (SERVICE, "def f():\n    'SELECT * in words.'"),
        (
            STEP,
            "SQL = ('ALTER TABLE markets ADD COLUMN x text', 'ALTER TABLE markets ADD y bigint NOT NULL DEFAULT 0')",
        ),
        (STEP, "SQL = ('ALTER TABLE markets ALTER COLUMN schema_version TYPE bigint',)"),
        (
            STEP,
            "SQL = ('CREATE INDEX i ON markets (title)', 'DROP INDEX old', 'ALTER TABLE markets DROP CONSTRAINT c')",
        ),
        (STEP, "SQL = ('CREATE TABLE other (x text NOT NULL)', 'CREATE UNIQUE INDEX i ON other (x)')"),
        (STEP, "SQL = ('ALTER TABLE markets DROP title', \"UPDATE schema_terms SET oldest = '0008'\")"),
        (STEP, "SQL = ()\ndef downgrade(): op.execute('DROP TABLE markets')"),
        (LANE, "import msgspec\ntry: read(x)\nexcept msgspec.ValidationError: pass\nexcept UNDECODABLE: pass"),
        (SERVICE, "import msgspec\ntry: msgspec.convert(x, A)\nexcept msgspec.ValidationError: pass"),
        (SERVICE, "from m0chain import DecodeError\ntry: read(x)\nexcept DecodeError: pass"),
        (SERVICE.with_name("metrics.py"), "from m0common.telemetry.metrics import counter\nX = counter('m0_x_total')"),
        (Path("libs/m0common/src/m0common/telemetry/metrics.py"), "import prometheus_client"),
        (SERVICE, "from m0common.telemetry.metrics import exposition\nexposition()"),
        (SERVICE, "from prometheus_client.parser import text_string_to_metric_families"),
        (INFRA, "import contextlib\nwith contextlib.suppress(*UNDECODABLE): read(x)"),
    ],
)
def test_it_leaves_alone(path: Path, text: str):
    assert codes(path, text) == []


def test_a_domain_of_somebody_else_keeps_the_same_rules_wherever_it_lies():
    elsewhere = Path("weather/models.py")
    assert codes(elsewhere, "import time\ntime.time()") == []
    assert "M0L001" in check_pure(elsewhere, "import time\ntime.time()")[0]
    assert "M0L010" in check_pure(elsewhere, "sum(x)")[0]


def test_every_rule_has_a_code_of_its_own():
    assert len({rule.code for rule in RULES}) == len(RULES)


def test_everything_that_is_hashed_into_a_release_is_held_to_the_rules_of_pure_code():
    pure = Rule("", "", PURE, lambda _: iter(()))
    places = [f"libs/{name.split('/')[0]}/src/{name}" for name, _ in release._heart()]
    assert len(places) > 20
    assert [place for place in places if not pure.holds_for(place)] == []


def unhashed(place: str, text: str) -> list[tuple[str, str]]:
    """The values and functions, no types and topics, that a file takes from others of ours that are not hashed."""
    hashed = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name, _ in release._heart()}
    found = []
    for node in ast.walk(ast.parse(text, place)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("m0") and not node.level:
            if node.module in hashed:
                continue
            for alias in node.names:
                value = getattr(import_module(node.module), alias.name)
                if not isinstance(value, type | Topic) and get_origin(value) is None:
                    found.append((node.module, alias.name))
    return found


def test_nothing_that_is_hashed_into_a_release_takes_what_decides_from_where_it_is_not():
    taken = set()
    for name, _ in release._heart():
        place = f"libs/{name.split('/')[0]}/src/{name}"
        taken |= set(unhashed(place, (ROOT / place).read_text()))
    assert taken == RUNNING


@pytest.mark.parametrize(
    "text", ["from m0common.stream.door import decoded", "from m0common.stream.loop import SAID_MAX"]
)
def test_a_value_or_function_that_is_in_no_release_is_found(text: str):
    assert len(unhashed("x.py", text)) == 1
