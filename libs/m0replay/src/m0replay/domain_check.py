"""What the heart expects of a domain before it runs: found by reading it, by asking it, and by playing events into it.

What its forecasts are worth is for the domain's own tests.
"""

import ast
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from importlib.metadata import EntryPoint, entry_points
from importlib.util import decode_source
from pathlib import Path
from typing import NamedTuple

import msgspec
from m0common.errors import InvalidValue, SettingsError
from m0common.told import Raised, asked, in_words
from m0lanes.domains import GROUP, check_domain
from m0lanes.port import Domain, Model
from m0lanes.release import folder_of, release_of
from m0lint.main import check_pure
from msgspec import inspect

from m0replay.domain_play import play_digest, played
from m0replay.domain_shape import misshapen

HEARTS = frozenset({"m0common", "m0lanes", "m0quant", "msgspec"})
"""What code that decides a leaf may import besides its own: all of it is hashed into a release."""
PURE = frozenset(
    {
        "__future__", "abc", "bisect", "collections", "contextlib", "dataclasses", "enum", "fractions", "functools",
        "hashlib", "heapq", "itertools", "math", "operator", "string", "struct", "types", "typing",
    }
)  # fmt: skip
"""And of the standard library, what reads no clock, no randomness and nothing of the machine."""
_SEEDS = ("1", "2", "3")
_ASK = "import sys; from m0replay.domain_check import ask; ask(sys.argv[1])"


class Examined(NamedTuple):
    """A domain, None when it cannot be imported, and what is wrong with it, a sentence each."""

    domain: Domain | None
    findings: list[str]


def installed() -> dict[str, list[EntryPoint]]:
    """The entry points of domains by their names, in order: one each, unless two packages bring one name."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.value)):
        found.setdefault(entry.name, []).append(entry)
    return found


def load(entries: Sequence[EntryPoint]) -> Domain:
    """The one domain of these entry points. Raises SettingsError when it cannot be imported, or is not the only one."""
    first, *others = entries
    if others:
        places = " and ".join(entry.value for entry in entries)
        raise SettingsError(f"it is brought by several packages, as {places}: uninstall all but one")
    try:
        domain: Domain = asked(first.load)
    except Raised as error:
        raise SettingsError(f"{first.value} cannot be imported: {error}") from error
    return domain


def examine(name: str, entries: Sequence[EntryPoint], tell: Callable[[str], None] = lambda _: None) -> Examined:
    """Import a domain and look for what is wrong with it; see `findings`. What it prints goes to standard error."""
    with redirect_stdout(sys.stderr):
        try:
            domain = load(entries)
        except SettingsError as error:
            return Examined(None, [str(error)])
        return Examined(domain, findings(name, domain, tell))


def fingerprint(domain: Domain) -> str:
    """A hash, in hex, of the release and of every model's name, version and artifact."""
    hasher = hashlib.sha256(release_of(domain))
    for name, model in sorted(domain.models.items()):
        hasher.update(f"\0{name}\0{model.version}\0".encode() + hashlib.sha256(model.artifact()).digest())
    return hasher.hexdigest()


def findings(name: str, domain: Domain, tell: Callable[[str], None] = lambda _: None) -> list[str]:
    """What is wrong with a domain, a sentence each; empty when nothing was found.

    It takes seconds, most of them for interpreters to start: `tell` hears what is done next.
    """
    tell("reads its files, types and models")
    found = misshapen(domain)
    if found:
        # nothing else can be asked of it
        return found
    if domain.name != name:
        found.append(f"it calls itself {domain.name!r}, its entry point is {name!r}: give both one name")
    found += _step("asking for its kinds", lambda: _clashes(domain))
    found += _step("reading its files", lambda: _files(domain))
    found += _step("reading its types", lambda: _types(domain))
    found += _step("asking its models", lambda: _models(domain))
    if not found:
        tell("plays events into it, again, and restarted behind each")
        found += _step("playing events into it", lambda: _played(domain))
    if not found:
        tell(f"asks {len(_SEEDS)} fresh interpreters for the same")
        found += _hash_seeds(name)
    return found


def _step(doing: str, look: Callable[[], Iterable[str]]) -> list[str]:
    """What a step finds. Code of the domain's may run anywhere in it: what it raises past the step is a finding."""
    try:
        return asked(lambda: list(look()))
    except Raised as error:
        return [f"{doing} raises {error}"]


def _clashes(domain: Domain) -> Iterator[str]:
    try:
        check_domain(domain)
    except SettingsError as error:
        yield str(error)


def _played(domain: Domain) -> list[str]:
    try:
        return played(domain)
    except InvalidValue as error:
        return [str(error)]


def _files(domain: Domain) -> Iterator[str]:
    folder = folder_of(domain)
    missing = [file for file in sorted(domain.deciding) if not (folder / file).is_file()]
    yield from (f"deciding names {file!r}, which is no file in {folder}" for file in missing)
    if not missing:
        yield from _code(domain)


def _code(domain: Domain) -> Iterator[str]:
    folder, package = folder_of(domain), type(domain).__module__
    sources = [file for file in sorted(domain.deciding) if file.endswith(".py")]
    own = {package} | {f"{package}.{Path(file).with_suffix('').as_posix().replace('/', '.')}" for file in sources}
    for file in sources:
        path = folder / file
        try:
            text = decode_source(path.read_bytes())
            yield from [*check_pure(path, text), *_foreign(path, text, package, own)]
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            yield f"{path} cannot be read as Python: {in_words(error, str)}"


def _foreign(path: Path, text: str, package: str, own: set[str]) -> Iterator[str]:
    """Imports of what a release does not hash, or of what is not pure."""
    for line, module in _imports(text, package):
        top = module.partition(".")[0]
        inside = module == package or module.startswith(f"{package}.")
        if inside and module not in own:
            yield f"{path}:{line}: imports {module}, which is not among deciding: name its file there"
        elif not inside and top not in HEARTS | PURE:
            why = "it is not pure" if top in sys.stdlib_module_names else "a release does not hash it"
            yield f"{path}:{line}: imports {module}: {why}, do without"


def _imports(text: str, package: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = f"{package}.{node.module}" if node.level and node.module else node.module or package
            if module == package:
                # a name of the package is a module of it or something that its __init__ has
                folder = Path(str(sys.modules[package].__file__)).parent
                for alias in node.names:
                    is_module = (folder / f"{alias.name}.py").is_file() or (folder / alias.name).is_dir()
                    yield node.lineno, f"{package}.{alias.name}" if is_module else package
            else:
                yield node.lineno, module


def _types(domain: Domain) -> Iterator[str]:
    if not domain.payloads:
        yield "it has no payload: a source must have something to say"
    groups: list[tuple[str, Mapping[str, type[msgspec.Struct]]]] = [
        ("payload", domain.payloads),
        ("body", domain.bodies),
        ("entity", domain.normalize_entities),
        ("entity", domain.feature_entities),
        *(("entity", model.entities) for _, model in sorted(domain.models.items())),
    ]
    for what, kinds in groups:
        for kind, made in sorted(kinds.items()):
            if not made.__struct_config__.frozen:
                yield f"{what} {kind}: {made.__name__} can be changed in place: declare it frozen=True"
            for path, found in _walk(inspect.type_info(made), made.__name__, set()):
                if isinstance(found, inspect.FloatType):
                    yield f"{what} {kind}: {path} is a float: use integers in a fixed unit"
                elif isinstance(found, inspect.AnyType):
                    yield f"{what} {kind}: {path} may be anything: give it a type"
                elif isinstance(found, inspect.CustomType):
                    yield f"{what} {kind}: {path} is a {found.cls.__name__}, which no message holds: use plain types"
                elif what == "payload" and isinstance(found, inspect.IntType) and not _bounded(found):
                    yield f"payload {kind}: {path} has no bounds: give its type ge and le"


def _bounded(found: inspect.IntType) -> bool:
    return not (found.ge is None and found.gt is None) and not (found.le is None and found.lt is None)


def _walk(node: inspect.Type, path: str, seen: set[type]) -> Iterator[tuple[str, inspect.Type]]:
    if isinstance(node, inspect.StructType):
        if node.cls not in seen:
            for field in node.fields:
                yield from _walk(field.type, f"{path}.{field.name}", seen | {node.cls})
        return
    yield path, node
    inner: Iterable[inspect.Type] = ()
    match node:
        case inspect.UnionType():
            inner = node.types
        case inspect.TupleType():
            inner = node.item_types
        case inspect.VarTupleType() | inspect.ListType() | inspect.SetType() | inspect.FrozenSetType():
            inner = (node.item_type,)
        case inspect.DictType():
            inner = (node.key_type, node.value_type)
        case inspect.Metadata():
            inner = (node.type,)
    for each in inner:
        yield from _walk(each, path, seen)


def _models(domain: Domain) -> Iterator[str]:
    if not domain.models:
        yield "it has no model: a catalog must name one"
    for name, model in sorted(domain.models.items()):
        if model.name != name:
            yield f"model {name!r} calls itself {model.name!r}: give both one name"
        yield from _artifact(name, model)
        for kind in sorted(set(model.learns) - set(domain.bodies)):
            yield f"model {name} learns {kind!r}, which is no body of the domain"


def _artifact(name: str, model: Model) -> Iterator[str]:
    try:
        first, again = asked(model.artifact), asked(model.artifact)
    except Raised as error:
        yield f"model {name}: artifact() raises {error}"
        return
    if not isinstance(first, bytes):
        yield f"model {name}: artifact() gives {in_words(first)}: it must be bytes"
    elif first != again:
        yield f"model {name}: artifact() says something else the second time"


def ask(name: str) -> None:
    """Print what must be the same in every process: release and artifacts, and what is said of the same events."""
    with redirect_stdout(sys.stderr):
        domain = load(installed()[name])
        said = fingerprint(domain), play_digest(domain)
    print(*said)


def _hash_seeds(name: str) -> list[str]:
    """Fresh interpreters that order sets otherwise must find the same."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _ASK, name],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
        )
        for seed in _SEEDS
    ]
    said: set[tuple[str, str]] = set()
    for answer, error, code in [(*process.communicate(), process.returncode) for process in processes]:
        if code:
            why = error.strip().splitlines() or [f"it ends with code {code} and says nothing"]
            return [f"asked in a fresh process it fails: {why[-1]}"]
        match answer.split():
            case [prints, digest]:
                said.add((prints, digest))
            case _:
                return [f"asked in a fresh process it does not answer, but says {answer[:80]!r}: print nothing there"]
    if len({prints for prints, _ in said}) > 1:
        return ["its artifacts depend on the order of a set: sort what goes into them"]
    if len(said) > 1:
        return ["what it says of the same events depends on the order of a set: sort what is said and kept"]
    return []
