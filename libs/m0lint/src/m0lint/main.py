"""`m0lint PATH…`"""

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from m0lint.rules import PURE_RULES, RULES, Rule

ALLOW = "m0lint: allow"
"""A line that ends with `# m0lint: allow CODE reason` is left alone for that code."""


def files(paths: Sequence[str]) -> Iterator[Path]:
    """Product sources below the paths; tests, benchmarks and data builders are free."""
    for path in paths:
        root = Path(path)
        found = [root] if root.is_file() else sorted(root.rglob("*.py"))
        yield from (f for f in found if not {"tests", "bench", ".venv", "target"} & set(f.parts))


def check(path: Path, text: str) -> list[str]:
    """Findings of one file by the rules of its place, as `file:line: code message`."""
    place = path.as_posix()
    return _findings(place, text, [rule for rule in RULES if rule.holds_for(place)])


def check_pure(path: Path, text: str) -> list[str]:
    """Findings of a file that decides a leaf, wherever it lies: what a domain of somebody else is held to."""
    return _findings(path.as_posix(), text, PURE_RULES)


def _findings(place: str, text: str, rules: Iterable[Rule]) -> list[str]:
    lines, tree = text.splitlines(), ast.parse(text, place)
    found = [
        (line, f"{place}:{line}: {rule.code} {message}")
        for rule in rules
        for line, message in rule.check(tree)
        if f"{ALLOW} {rule.code}" not in lines[line - 1]
    ]
    return [finding for _, finding in sorted(set(found))]


def main() -> None:
    """Print every finding; exit 1 if there is one, 2 for wrong use."""
    paths = sys.argv[1:]
    if not paths or paths[0].startswith("-"):
        print("usage: m0lint PATH…\n" + "\n".join(f"  {rule.code}  {rule.why}" for rule in RULES))
        sys.exit(0 if paths and paths[0] in {"-h", "--help"} else 2)
    findings = [finding for path in files(paths) for finding in check(path, path.read_text())]
    print("\n".join(findings) if findings else "m0lint: all clear")
    sys.exit(1 if findings else 0)
