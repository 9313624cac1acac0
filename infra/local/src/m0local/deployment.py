"""The deployment record: which programs were deployed under which ids, as provisioning wrote it.

{"programs": {"oracle": "<base58>", "registry": "<base58>"}, ...}
"""

import json
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    """The record, empty before the first deployment. Values are whatever provisioning noted."""
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return record if isinstance(record, dict) else {}


def write(path: Path, record: dict[str, Any]) -> None:
    """Replace the record in one step."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    fresh.replace(path)


def programs(path: Path) -> dict[str, str]:
    """Program name (`oracle`, `registry`) → id."""
    found = read(path).get("programs", {})
    return {str(name): str(key) for name, key in found.items()} if isinstance(found, dict) else {}


def program_environment(path: Path) -> dict[str, str]:
    """`M0_<PROGRAM>_PROGRAM_ID` of every program of the record."""
    return {f"M0_{name.upper().replace('-', '_')}_PROGRAM_ID": key for name, key in programs(path).items()}
