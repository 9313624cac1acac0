"""What `m0 domain check` finds in domains of a stranger: a sentence for each fault, whatever their code does."""

import importlib
import sys
from importlib.metadata import EntryPoint

import pytest
from dice_world import CODE, broken, install
from m0lanes.domains import GROUP
from m0replay.domain_check import examine

ENTRY = EntryPoint("dice", "dice:DOMAIN", GROUP)
OBJECT = "DOMAIN = Dice()"


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Ask for the findings of this code, installed as a package of its own."""
    monkeypatch.syspath_prepend(tmp_path)

    def ask(code, files=()):
        install(tmp_path, code)
        for name, content in dict(files).items():
            (tmp_path / "dice" / name).write_bytes(content)
        importlib.invalidate_caches()
        return examine("dice", [ENTRY]).findings

    yield ask
    for name in ("dice", "dice.other"):
        sys.modules.pop(name, None)


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
        ('return b"faces=6"', "Uniform.n = getattr(Uniform, 'n', 0) + 1; return b'%d' % Uniform.n", "something else"),
    ],
)
def test_a_fault_is_named(found, good, bad, finding):
    said = found(broken(good, bad))
    assert any(finding in fault for fault in said), said


VALUES = ("None", "-5", "'Text'", "b'bytes'", "1.5", "[3]", "{3: 3}", "{'a': 3}", "{'a': int}", "object()", "RAISES")
"""Each is no value of any part; RAISES does so whenever it is looked at."""
RAISES = """
class Raising:
    def __getattr__(self, name): raise SystemExit(name)
    def __repr__(self): raise SystemExit("repr")
    def __bool__(self): raise SystemExit("bool")
    def __len__(self): raise SystemExit("len")
    def __iter__(self): raise SystemExit("iter")
    def __eq__(self, other): raise SystemExit("eq")
    __hash__ = None
RAISES = Raising()
"""
PARTS = [
    *(("Dice", part) for part in ("name", "version", "payloads", "bodies", "normalize_entities", "feature_entities")),
    *(("Dice", part) for part in ("models", "deciding", "check", "outcome", "normalize", "observe", "features")),
    ("Dice", "forget"),
    *(("Uniform", part) for part in ("name", "version", "entities", "learns", "artifact", "learn", "predict")),
]
"""Classes of the code, and what the port asks for in them."""


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("owner", "part"), PARTS)
def test_a_part_of_another_type_is_named_with_what_it_must_be(found, owner, part, value):
    said = found(f"{CODE}{RAISES}{owner}.{part} = {value}\n")
    where = part if owner == "Dice" else f"models uniform: {part}"
    assert said
    assert all(fault.startswith(where) and "must be" in fault for fault in said), said


@pytest.mark.parametrize(("owner", "part"), PARTS)
def test_a_part_that_cannot_be_read_is_named(found, owner, part):
    where = part if owner == "Dice" else f"models uniform: {part}"
    code = f"def no(self): raise SystemExit(3)\n{CODE}\n{owner}.{part} = property(no)\n"
    assert found(code) == [f"{where} cannot be read: it raises SystemExit(3)"]


def test_a_part_that_is_missing_is_named(found):
    assert found(f"{CODE}\ndel Dice.forget, Uniform.version\n") == [
        "models uniform: version is missing: it must be a whole number from 0 to 4294967294",
        "forget is missing: it must be a method",
    ]


@pytest.mark.parametrize(
    ("good", "bad", "finding"),
    [
        (OBJECT, "DOMAIN = Dice", "its entry point names the class Dice: name an object"),
        (OBJECT, "DOMAIN = None", "its entry point names None: name an object"),
        (OBJECT, "Dice.__module__ = 'nowhere'\nDOMAIN = Dice()", "name an object whose class is in a file"),
        (OBJECT, "Dice.__module__ = []\nDOMAIN = Dice()", "its parts cannot be read: "),
        ('name = "dice"', 'name = "Dice"', "name is 'Dice': it must be a text: a small letter"),
        ("    version = 1\n    payloads", "    version = 0\n    payloads", "version is 0: it must be a whole number"),
        ("    version = 1\n    payloads", "    version = -1\n    payloads", "version is -1: it must be"),
        ("    version = 1\n    payloads", "    version = True\n    payloads", "version is True: it must be"),
        ("    version = 1\n    payloads", "    version = (1 << 31) - 1\n    payloads", "version is 2147483647: it"),
        ("    version = 1\n    entities", "    version = -1\n    entities", "models uniform: version is -1: it must"),
        ("    version = 1\n    entities", "    version = (1 << 32) - 1\n    entities", "version is 4294967295: it"),
        ('{"uniform": Uniform()}', '{"Big": Uniform()}', "models has the key 'Big': it must be a text: a small"),
        ('{"roll": Roll}', '{"Roll!": Roll}', "payloads has the key 'Roll!': it must be a text: a small letter"),
        ('{"roll": Roll}', '{"roll": int}', "payloads roll is <class 'int'>: it must be a class made of msgspec.Str"),
        ('{"rolled": Rolled}', '{"\\udc80": Rolled}', "bodies has the key '\\udc80': it must be a text"),
        ('{"count": Count}', '{"count": Count(1)}', "entities count is Count(rolls=1): it must be a class"),
        ("Annotated[int, msgspec.Meta(ge=1, le=6)]", '"Nowhere"', "decoded: NameError(\"name 'Nowhere' is not defi"),
        ("    rolls: int", "    rolls: int | dict | Roll", "Count has a type that cannot be decoded: TypeError"),
        ("    rolls: int", "    rolls: 'Uniform'", "entity count: Count.rolls is a Uniform, which no message holds"),
        ('("__init__.py",)', '("__init__.py")', "deciding is '__init__.py': it must be a tuple of texts"),
        ('("__init__.py",)', '("/etc/passwd",)', "deciding names '/etc/passwd', which is not inside the domain's"),
        ('("__init__.py",)', '("../dice/other.py",)', "which is not inside the domain's folder"),
        ('("__init__.py",)', '("\\udc80.py",)', "deciding has '\\udc80.py': it must be a text"),
        ('("__init__.py",)', '("a\\0.py",)', "deciding names 'a\\x00.py', which is no file"),
        ('("__init__.py",)', '("x" * 5_000,)', "reading its files raises OSError("),
        ('return b"faces=6"', "raise SystemExit(3)", "model uniform: artifact() raises SystemExit(3)"),
        ('return b"faces=6"', 'return "faces=6"', "model uniform: artifact() gives 'faces=6': it must be bytes"),
        (OBJECT, f"{OBJECT}\nraise SystemExit(3)", "dice:DOMAIN cannot be imported: SystemExit(3)"),
        (OBJECT, "", "dice:DOMAIN cannot be imported: AttributeError("),
        (OBJECT, "def (:", "dice:DOMAIN cannot be imported: SyntaxError("),
    ],
)
def test_what_would_end_the_check_is_a_finding(found, good, bad, finding):
    said = found(broken(good, bad))
    assert any(finding in fault for fault in said), said


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"x = '\xe9'\n", "invalid or missing encoding declaration"),
        (b"# coding: nonsense\n", "unknown encoding: nonsense"),
        (b"def (:\n", "invalid syntax"),
        (b"x = 1\0\n", "null bytes"),
        (b"x = " + b"(" * 300 + b")" * 300, "too many nested parentheses"),
        (b"x = " + b"-" * 20_000 + b"1", ""),
        (b"x = " + b"+".join([b"a"] * 20_000), ""),
    ],
    ids=["latin-1", "coding", "syntax", "nul", "parentheses", "signs", "sum"],
)
def test_a_deciding_file_that_is_no_python_is_named(found, content, why):
    (said,) = found(broken('("__init__.py",)', '("__init__.py", "more.py")'), {"more.py": content})
    assert "/dice/more.py cannot be read as Python: " in said
    assert why in said


def test_a_deciding_file_in_an_encoding_that_it_names_is_read(found):
    code = broken('("__init__.py",)', '("__init__.py", "more.py")')
    (said,) = found(code, {"more.py": b"# coding: latin-1\nx = '\xe9'\nimport random\n"})
    assert said.endswith("/dice/more.py:3: imports random: it is not pure, do without")


@pytest.mark.parametrize(
    ("good", "bad", "finding"),
    [
        (
            "return Step(say=(Rolled(event.payload.face),))",
            "self.n = getattr(self, 'n', 0) + 1; return Step(say=(Rolled(self.n),))",
            "model uniform: played a second time, stage normal",
        ),
        ("return Step(say=", "raise ValueError(event.kind); return Step(say=", "of a roll: raises ValueError('roll')"),
        ("check(self, kind, payload): pass", "check(self, kind, payload): raise SystemExit(3)", "raises SystemExit(3)"),
        ("outcomes): return None", "outcomes): raise SystemExit(3)", "outcome of a roll: raises SystemExit(3)"),
        ("return Step(say=", "raise SystemExit(3); return Step(say=", "normalize of a roll: raises SystemExit(3)"),
        ("return Step(say=", "raise MemoryError; return Step(say=", "normalize of a roll: raises MemoryError()"),
        ("return Step(say=", "return Step(stop=5, say=", "normalize of a roll: the heart refuses its result: 'int'"),
        ("body): return NOTHING", "body): raise SystemExit(3)", "observe of a Rolled: raises SystemExit(3)"),
        ("at_ms): return {}", "at_ms): raise SystemExit(3)", "features of a market of A, B: raises SystemExit(3)"),
        ("market): return NOTHING", "market): raise SystemExit(3)", "forget of a market of A, B: raises SystemExit(3)"),
        ("seen = view", "raise SystemExit(3); seen = view", "learn of a Rolled: raises SystemExit(3)"),
        (
            "if len(market.outcomes) != 2:",
            "raise SystemExit(3)\n        if 0:",
            "predict of a market of A, B: raises S",
        ),
        (
            "    face: Annotated[int, msgspec.Meta(ge=1, le=6)]",
            "    face: Annotated[int, msgspec.Meta(ge=1, le=6)]\n    def __post_init__(self): raise SystemExit(3)",
            "playing events into it raises SystemExit(3)",
        ),
    ],
)
def test_what_it_raises_when_events_are_played_is_a_finding(found, good, bad, finding):
    said = found(broken(good, bad))
    assert any(finding in fault for fault in said), said


def test_an_error_that_cannot_be_put_in_words_is_named_by_its_type(found):
    wordless = "class Wordless(Exception):\n    def __repr__(self): raise SystemExit(3)\n    __str__ = __repr__\n"
    said = found(wordless + broken("return Step(say=", "raise Wordless; return Step(say="))
    assert any("normalize of a roll: raises Wordless, which cannot be put in words" in fault for fault in said), said


def test_a_keyboard_interrupt_ends_the_check(found):
    with pytest.raises(KeyboardInterrupt):
        found(broken("return Step(say=", "raise KeyboardInterrupt; return Step(say="))


def test_a_name_that_two_packages_bring_is_a_finding():
    assert examine("dice", [ENTRY, EntryPoint("dice", "other:DOMAIN", GROUP)]).findings == [
        "it is brought by several packages, as dice:DOMAIN and other:DOMAIN: uninstall all but one"
    ]
