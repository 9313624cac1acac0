"""
Generate the Anchor IDLs (spec 0.1.0) and the programs' `interface.rs` from the interface files beside this script.

    generate.py            write the files
    generate.py --check    exit 1 naming the first file that differs from what would be written

One declarative source for instruction arguments, account layouts, account flags, discriminators, events and errors:
Rust and IDL cannot drift apart.
"""

from __future__ import annotations

import argparse
import sys

from idlgen.files import PROGRAMS, outputs


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
