"""The record of a deployment: what makes it itself, in a file that `m0 bootstrap` writes and every service may read.

{"programs": {"oracle": "<base58>", "registry": "<base58>"}, "genesis_hash": "<hex>", "control_key": "<hex>", ...}
"""

import json
from pathlib import Path
from typing import Any

from m0common.durable import replaced
from m0common.errors import SettingsError

PROGRAMS = ("oracle", "registry", "fee_router", "governance")
KEYS = ("genesis_hash", "control_key")
RESTORED_ENDS = "kafka_restored_ends"
"""Where `m0 backup restore kafka` notes what `kafka.restored_ends` is from then on."""
REMEDY = (
    "put it back from a copy, or delete it and let `m0 bootstrap` write it anew, with M0_KAFKA_RESTORED_ENDS where the "
    "log was restored from an archive"
)


def read(path: Path) -> dict[str, Any]:
    """The record, empty before the first deployment. Values are whatever the bootstrap noted. Raises SettingsError."""
    try:
        record = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or error
        raise SettingsError(f"deployment record {path} cannot be read: {why}: {REMEDY}") from None
    if not isinstance(record, dict):
        raise SettingsError(f"deployment record {path} is no JSON object: {REMEDY}")
    return record


def write(path: Path, record: dict[str, Any]) -> None:
    """Replace the record in one step. Raises SettingsError."""
    try:
        replaced(path, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise SettingsError(
            f"deployment record {path} cannot be written: {error.strerror}: name another file"
        ) from None


def programs(record: dict[str, Any]) -> dict[str, str]:
    """Program name (`oracle`, `registry`) → id."""
    found = record.get("programs", {})
    return {str(name): str(key) for name, key in found.items()} if isinstance(found, dict) else {}


def identity(record: dict[str, Any]) -> dict[str, str]:
    """What the record says of `[deployment]` in the settings."""
    named = {name.replace("-", "_"): key for name, key in programs(record).items()}
    told = {f"{name}_program_id": named[name] for name in PROGRAMS if name in named}
    return told | {name: str(record[name]) for name in KEYS if name in record}
