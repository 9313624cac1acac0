"""
Generate the Anchor IDLs (spec 0.1.0) and the programs' `interface.rs` from the interface files beside this script.

    generate.py            write the files
    generate.py --check    exit 1 naming the first file that differs from what would be written

One declarative source for instruction arguments, account layouts, account flags, discriminators, events and errors:
Rust and IDL cannot drift apart.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from idlgen.idl import render_idl
from idlgen.model import Interface, load_common, load_interface
from idlgen.rust import render_common, render_program

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE.parent
NAMES = ("m0_oracle", "m0_registry")


def _json(value: object) -> str:
    """Indented JSON with each list of numbers on one line."""
    text = json.dumps(value, indent=2)
    return re.sub(r"\[\s+(\d+(?:,\s+\d+)*)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text) + "\n"


def outputs() -> dict[Path, str]:
    """Every generated file and its text."""
    common = load_common(HERE / "common.toml")
    files = {PROGRAMS / "common" / "src" / "interface.rs": render_common(common)}
    for name in NAMES:
        interface: Interface = load_interface(HERE / f"{name}.toml")
        files[HERE / f"{name}.json"] = _json(render_idl(interface, common))
        files[PROGRAMS / name.replace("_", "-") / "src" / "interface.rs"] = render_program(interface)
    return files


def main() -> int:
    parser = argparse.ArgumentParser(description="generate IDLs and Rust interfaces")
    parser.add_argument("--check", action="store_true", help="compare with the files on disk instead of writing")
    check = parser.parse_args().check
    for path, text in outputs().items():
        if path.exists() and path.read_text() == text:
            continue
        if check:
            print(f"{path.relative_to(PROGRAMS)} is not what its interface file says: run idl/generate.py")
            return 1
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"wrote {path.relative_to(PROGRAMS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
