"""Run the unit tests of libraries and services under branch coverage and print a table by package.

Arguments go to pytest instead of `libs services`. Tests that start Kafka or need the whole stack are left out, so what
those alone reach counts as missed. The tests take about two and a half times as long as without.
"""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path, PurePath
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".m0" / "coverage"
UNIT = "not e2e and not kafka and not validator"


def main(args: list[str]) -> int:
    """The exit code of the tests; the table is printed whatever they say."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    coverage("erase")
    failed = coverage(
        "run", "-m", "pytest", "-q", "-n", "2", "--timeout", "600", "-m", UNIT, *(args or ["libs", "services"])
    )
    coverage("combine", "--quiet")
    report = FOLDER / "report.json"
    coverage("json", "--quiet", "-o", str(report))
    print(table(json.loads(report.read_text())["files"]))
    return failed


def coverage(*args: str) -> int:
    return subprocess.run([sys.executable, "-m", "coverage", *args], cwd=ROOT, check=False).returncode


def table(files: dict[str, Any]) -> str:  # what coverage's JSON has
    """A line for each package, its lines and branches and how many of them were gone through, and the total."""
    packages: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for path, found in files.items():
        for name in (package(path), "total"):
            packages[name].update({key: n for key, n in found["summary"].items() if key.endswith(COUNTED)})
    names = [*sorted(packages.keys() - {"total"}), "total"]
    rows = [("package", "lines", "missed", "branches", "missed", "covered"), *(row(n, packages[n]) for n in names)]
    return "\n".join(f"{row[0]:<14}" + "".join(f"{cell:>10}" for cell in row[1:]) for row in rows)


COUNTED = ("num_statements", "missing_lines", "num_branches", "missing_branches")


def row(name: str, counted: Counter[str]) -> tuple[str, ...]:
    lines, lines_missed, branches, branches_missed = (counted[key] for key in COUNTED)
    whole = lines + branches
    share = 100 * (whole - lines_missed - branches_missed) / whole if whole else 100.0
    return name, str(lines), str(lines_missed), str(branches), str(branches_missed), f"{share:.1f} %"


def package(path: str) -> str:
    """`libs/m0lanes/src/m0lanes/slots.py` is of m0lanes."""
    parts = PurePath(path).parts
    return parts[parts.index("src") + 1] if "src" in parts else parts[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
