"""Every generated file and its text."""

from __future__ import annotations

import json
import re
from pathlib import Path

from idlgen.idl import render_idl
from idlgen.model import load_common, load_interface
from idlgen.rust import render_common, render_program

HERE = Path(__file__).resolve().parents[1]
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
        interface = load_interface(HERE / f"{name}.toml")
        files[HERE / f"{name}.json"] = _json(render_idl(interface, common))
        files[PROGRAMS / name.replace("_", "-") / "src" / "interface.rs"] = render_program(interface)
    return files
