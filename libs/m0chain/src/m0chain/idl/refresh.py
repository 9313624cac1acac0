"""Copy the IDLs of the source tree over those shipped in the package: `python -m m0chain.idl.refresh [DIR]`."""

import sys
from pathlib import Path

from m0chain.idl import ORACLE, REGISTRY


def refresh(source: Path, target: Path) -> list[str]:
    """Copy both IDLs from `source`; returns the names of those that changed."""
    changed = []
    for name in (f"{ORACLE}.json", f"{REGISTRY}.json"):
        wanted = (source / name).read_bytes()
        if not (target / name).exists() or (target / name).read_bytes() != wanted:
            (target / name).write_bytes(wanted)
            changed.append(name)
    return changed


if __name__ == "__main__":
    here = Path(__file__).parent
    tree = here.parents[4] / "programs" / "idl"
    print("changed:", ", ".join(refresh(Path(sys.argv[1]) if len(sys.argv) > 1 else tree, here)) or "nothing")
