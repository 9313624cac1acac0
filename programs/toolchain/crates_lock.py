"""
`crates.lock` pins every crate by name, version and checksum, one a line; `Cargo.lock` is made from it, uncommitted.

    crates_lock.py            make Cargo.lock say exactly what crates.lock says
    crates_lock.py --write    take today's Cargo.lock as the new crates.lock
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parents[1]
PACKAGE = re.compile(r'\[\[package\]\]\nname = "(.*?)"\nversion = "(.*?)"\nsource = ".*?"\nchecksum = "(.*?)"')
ROUNDS = 5  # pinning one crate can move another

Crate = tuple[str, str, str]


class LockError(Exception):
    """The pinned crates cannot be had; the message lists the differences."""


def _locked(workspace: Path) -> set[Crate]:
    return set(PACKAGE.findall((workspace / "Cargo.lock").read_text()))


def _pinned(workspace: Path) -> set[Crate]:
    lines = (workspace / "crates.lock").read_text().splitlines()
    return {(name, version, checksum) for name, version, checksum in (line.split() for line in lines)}


def restore(workspace: Path = WORKSPACE, cargo: str = "/usr/bin/cargo") -> None:
    """Make Cargo.lock hold exactly the crates of crates.lock; raises LockError when that cannot be done."""

    def run(*args: str, check: bool) -> None:
        subprocess.run([cargo, *args, "--quiet"], cwd=workspace, check=check)

    if not (workspace / "Cargo.lock").exists():
        run("generate-lockfile", check=True)
    pins = _pinned(workspace)
    for _ in range(ROUNDS):
        have = _locked(workspace)
        if have == pins:
            return
        for name, version, _checksum in sorted(pins - have):
            for old in sorted(v for n, v, _ in have - pins if n == name):
                run("update", "-p", f"{name}@{old}", "--precise", version, check=False)
    have = _locked(workspace)
    if have != pins:
        raise LockError(
            f"crates.lock cannot be restored. Only in crates.lock: {sorted(pins - have)}. "
            f"Only in Cargo.lock: {sorted(have - pins)}. After changing a dependency, run crates_lock.py --write."
        )


def write(workspace: Path = WORKSPACE) -> None:
    """Take Cargo.lock as the new crates.lock."""
    (workspace / "crates.lock").write_text("".join(f"{n} {v} {c}\n" for n, v, c in sorted(_locked(workspace))))


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        try:
            restore()
        except LockError as error:
            sys.exit(str(error))
