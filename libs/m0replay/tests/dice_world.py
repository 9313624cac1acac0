"""A small domain of a stranger as text, to be broken in one place, and how it is installed."""

from pathlib import Path

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


def broken(good: str, bad: str) -> str:
    """The code with one text of it replaced."""
    assert good in CODE
    return CODE.replace(good, bad)


def install(folder: Path, code: str) -> None:
    """Lay a package `dice` of this code into a folder, with its entry point."""
    (folder / "dice").mkdir()
    (folder / "dice/__init__.py").write_text(code)
    (folder / "dice/other.py").write_text("X = 1\n")
    (folder / "dice-1.dist-info").mkdir()
    (folder / "dice-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: dice\nVersion: 1\n")
    (folder / "dice-1.dist-info/entry_points.txt").write_text("[m0.domains]\ndice = dice:DOMAIN\n")
