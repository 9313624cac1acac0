"""The deployment record: what makes this deployment itself, as provisioning wrote it.

{"programs": {"oracle": "<base58>", "registry": "<base58>"}, "genesis_hash": "<hex>", "control_key": "<hex>", ...}
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


def environment(path: Path) -> dict[str, str]:
    """What services are told of the record: `M0_<PROGRAM>_PROGRAM_ID`, `M0_GENESIS_HASH`, `M0_CONTROL_KEY`."""
    record = read(path)
    told = {f"M0_{name.upper().replace('-', '_')}_PROGRAM_ID": key for name, key in programs(path).items()}
    return told | {
        f"M0_{name.upper()}": str(record[name]) for name in ("genesis_hash", "control_key") if name in record
    }
