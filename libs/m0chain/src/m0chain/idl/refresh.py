"""Copy the IDLs of the source tree over those shipped in the package: `python -m m0chain.idl.refresh [--check]`."""

import sys
from pathlib import Path

from m0chain.idl import ORACLE, REGISTRY


def refresh(source: Path, target: Path, *, write: bool = True) -> list[str]:
    """Copy both IDLs from `source`, or only compare them; returns the names of those that differed."""
    changed = []
    for name in (f"{ORACLE}.json", f"{REGISTRY}.json"):
        wanted = (source / name).read_bytes()
        if not (target / name).exists() or (target / name).read_bytes() != wanted:
            if write:
                (target / name).write_bytes(wanted)
            changed.append(name)
    return changed


if __name__ == "__main__":
    here = Path(__file__).parent
    only_compares = sys.argv[1:] == ["--check"]
    differing = refresh(here.parents[4] / "programs" / "idl", here, write=not only_compares)
    if differing:
        print(f"{', '.join(differing)} in {here}: {'not' if only_compares else 'now'} as in programs/idl")
    sys.exit(only_compares and bool(differing))
