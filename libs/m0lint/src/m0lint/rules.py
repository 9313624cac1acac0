"""The rules. Each yields `(line, message)`; `scope` says by patterns which files it holds for."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from m0lint import decoding, floats, sql
from m0lint.floats import Finding
from m0lint.names import defined, dotted, imports, references

CANONICAL = ("*/m0common/canonical/*", "*/m0common/ids.py", "*/m0common/fixedpoint.py")
DECIDING = ("*libs/m0lanes/src/*", "*libs/m0quant/src/*", "*/m0domains/*")
PURE = (*DECIDING, *CANONICAL, "*/m0common/messages/*", "*/m0common/stream/partition.py")
"""What decides a leaf: file by file what is hashed into a release."""
SAMPLES = ("*/dataset.py", "*/data/*")
"""Files of a domain that decide nothing: how its data sets are read and built."""
HASHED = (
    *CANONICAL,
    "*/m0common/messages/*",
    "*/m0lanes/bodies.py",
    "*/m0lanes/control.py",
    "*/m0domains/*/bodies.py",
    "*/m0domains/*/payloads.py",
)
"""Canonical bytes, and the messages of which they are made."""
PRODUCT = ("*libs/*", "*services/*")
OURS = (*PRODUCT, "*infra/*")
CLOCKS = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.localtime",
    "time.gmtime",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "datetime.now",
}
WALL = CLOCKS - {"time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns"}
CHANCE = ("random.", "secrets.", "uuid.uuid", "os.urandom", "numpy.random.")
BLOCKING = {
    "time.sleep",
    "input",
    "psycopg.connect",
    "redis.Redis",
    "redis.from_url",
    "httpx2.get",
    "httpx2.post",
    "httpx2.Client",
    "urllib.request.urlopen",
    "subprocess.run",
    "subprocess.check_output",
    "subprocess.check_call",
    "os.fsync",
    "os.system",
    "socket.create_connection",
    "sqlite3.connect",
    "argon2.low_level.hash_secret_raw",
}
METRICS = {f"m0common.telemetry.metrics.{name}" for name in ("counter", "gauge", "seconds")}
Check = Callable[[ast.Module], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its code, what it is for, where it holds and how it looks."""

    code: str
    why: str
    scope: tuple[str, ...]
    check: Check
    exempt: tuple[str, ...] = ()

    def holds_for(self, place: str) -> bool:
        """Whether a file, by its path with forward slashes, is to keep this rule."""
        return _matches(place, self.scope) and not _matches(place, self.exempt)


def _matches(place: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(place, pattern) for pattern in patterns)


def _calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    known = imports(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, dotted(node.func, known)


def clock_in_pure_code(tree: ast.Module) -> Iterator[Finding]:
    """Time in a lane is event time."""
    for call, name in _calls(tree):
        if name in CLOCKS:
            yield call.lineno, f"{name}() in a lane or model: time is event time; take it from the message"


def chance_in_pure_code(tree: ast.Module) -> Iterator[Finding]:
    """The same log must give the same bytes, in every process."""
    for name in sorted({"hash", "id"} - defined(tree).keys()):
        for node, read in references(tree):
            if read == name:
                yield node.lineno, f"{name}() differs from process to process: use sha256, or the value itself"
    for call, name in _calls(tree):
        seeded = name == "random.Random" and call.args
        if name.startswith(CHANCE) and not seeded:
            yield call.lineno, f"{name}() in a lane or model: replay must repeat it; use random.Random(seed)"


def _is_float(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


def float_in_hashed_bytes(tree: ast.Module) -> Iterator[Finding]:
    """What is hashed is integers, strings and bytes."""
    known = imports(tree)
    for node in ast.walk(tree):
        if _is_float(node):
            yield getattr(node, "lineno", 0), "a float literal where bytes are hashed: use fixed point"
        elif isinstance(node, ast.Name) and node.id == "float":
            yield node.lineno, "float where bytes are hashed: use fixed point"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield node.lineno, "/ makes a float where bytes are hashed: use // or divmod"
        elif isinstance(node, ast.Call):
            yield from _float_format(node, dotted(node.func, known))


def float_in_structs(tree: ast.Module) -> Iterator[Finding]:
    """A struct format with f or d puts a float into state."""
    known = imports(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _float_format(node, dotted(node.func, known))


def _float_format(call: ast.Call, name: str) -> Iterator[Finding]:
    if name.startswith("struct.") and call.args and isinstance(call.args[0], ast.Constant):
        text = call.args[0].value
        if isinstance(text, str) and any(letter in text for letter in "fde"):
            yield call.lineno, f"struct format {text!r} packs a float: state and hashed bytes are fixed point"


def unsorted_iteration(tree: ast.Module) -> Iterator[Finding]:
    """The order of a set is not an order."""
    for node in ast.walk(tree):
        sources = []
        if isinstance(node, ast.For | ast.AsyncFor):
            sources = [node.iter]
        elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp):
            sources = [generator.iter for generator in node.generators]
        for source in sources:
            is_set = isinstance(source, ast.Set | ast.SetComp) or (
                isinstance(source, ast.Call)
                and isinstance(source.func, ast.Name)
                and source.func.id in {"set", "frozenset"}
            )
            if is_set:
                yield source.lineno, "iterating a set has no order: wrap it in sorted()"


def unsorted_mapping(tree: ast.Module) -> Iterator[Finding]:
    """In canonical code even a dict's order is an accident."""
    wrapped = {
        id(argument)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"sorted", "len", "dict"}
        for argument in node.args
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"items", "keys", "values"}
            and not node.args
            and id(node) not in wrapped
        ):
            yield node.lineno, f".{node.func.attr}() in canonical code: wrap it in sorted()"


def blocking_in_async(tree: ast.Module) -> Iterator[Finding]:
    """One blocking call stalls every lane of the process."""
    known = imports(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef):
            for call in _own_calls(node):
                name = dotted(call.func, known)
                if name in BLOCKING:
                    yield call.lineno, f"{name}() blocks the event loop: await an async call or asyncio.to_thread"


def _own_calls(function: ast.AsyncFunctionDef) -> Iterator[ast.Call]:
    """Calls in the function's own body, not in functions defined inside it."""
    queue: list[ast.AST] = list(function.body)
    while queue:
        node = queue.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Call):
            yield node
        queue.extend(ast.iter_child_nodes(node))


def wall_clock(tree: ast.Module) -> Iterator[Finding]:
    """Time is injected, so that tests and replays can set it."""
    for call, name in _calls(tree):
        if name in WALL:
            yield call.lineno, f"{name}(): inject a m0common.clock.Clock instead"


READS_METRICS = "prometheus_client.parser"


def foreign_metrics(tree: ast.Module) -> Iterator[Finding]:
    """What bounds labels and checks names is one module, so no other makes metrics. Anybody may read them."""
    for node in ast.walk(tree):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if any(name.partition(".")[0] == "prometheus_client" and name != READS_METRICS for name in modules):
            yield getattr(node, "lineno", 0), "prometheus_client: define metrics with m0common.telemetry.metrics"


def scattered_metrics(tree: ast.Module) -> Iterator[Finding]:
    """docs/metrics.md is made of the modules named `metrics`."""
    for call, name in _calls(tree):
        if name in METRICS:
            yield call.lineno, f"{name}(): define it in the module `metrics` of its package"


def _pure(code: str, why: str, check: Check, scope: tuple[str, ...] = PURE) -> Rule:
    return Rule(code, why, scope, check, SAMPLES)


PURE_RULES: tuple[Rule, ...] = (
    _pure("M0L001", "no wall clock in what decides a leaf", clock_in_pure_code),
    _pure("M0L002", "no unseeded randomness in what decides a leaf", chance_in_pure_code),
    _pure("M0L003", "no libm in what decides a leaf", floats.libm),
    _pure("M0L005", "no float in lane state", float_in_structs),
    _pure("M0L006", "no iteration over sets in what decides a leaf", unsorted_iteration),
    _pure("M0L010", "no sum of floats but a loop's", floats.sums, DECIDING),
    _pure("M0L011", "no power but a whole one of integers", floats.powers),
)
"""What a domain keeps, wherever it lives."""

RULES: tuple[Rule, ...] = (
    *PURE_RULES,
    Rule("M0L004", "no float in hashed bytes", HASHED, float_in_hashed_bytes),
    Rule("M0L007", "no unsorted mapping in canonical code", CANONICAL, unsorted_mapping),
    Rule("M0L008", "no blocking call in async code", OURS, blocking_in_async),
    Rule(
        "M0L009",
        "time is injected",
        PRODUCT,
        wall_clock,
        exempt=("*/m0common/clock.py", "*libs/m0cli/*", "*libs/m0client/*"),
    ),
    Rule("M0L012", "no decoding that broken UTF-8 or deep nesting ends", OURS, decoding.caught_in_part),
    Rule("M0L013", "no statement that leaves its columns to the schema", PRODUCT, sql.unnamed_columns),
    Rule(
        "M0L014", "no migration that the version before cannot live with", ("*/migrations/versions/*",), sql.contracting
    ),
    Rule("M0L015", "metrics are made in one place", OURS, foreign_metrics, ("*/m0common/telemetry/metrics.py",)),
    Rule("M0L016", "metrics are defined in modules named metrics", OURS, scattered_metrics, ("*/metrics.py",)),
)
