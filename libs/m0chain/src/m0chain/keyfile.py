"""Plain key files in the format of the Solana tools: a JSON list of 64 bytes."""

import json
import os
from pathlib import Path

from m0common.durable import to_disk
from m0common.errors import SettingsError
from solders.keypair import Keypair


def plain_key(path: Path) -> Keypair:
    """The key in `path`. Raises SettingsError naming the file and the remedy."""
    try:
        return Keypair.from_bytes(bytes(json.loads(path.read_text())))
    except FileNotFoundError:
        raise SettingsError(f"key file {path} does not exist") from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise SettingsError(f"key file {path} is not a key of the Solana tools: {error}") from error


def write_plain_key(path: Path, key: Keypair) -> None:
    """Make a key file that its owner alone may read. Raises SettingsError where that cannot be, or a file is."""
    try:
        write_new(path, json.dumps(list(bytes(key))).encode() + b"\n")
    except FileExistsError:
        raise SettingsError(f"{path} exists: a key is never written over, name another file") from None
    except OSError as error:
        raise SettingsError(f"key file {path} cannot be written: {error}") from error


def write_new(path: Path, content: bytes) -> None:
    """Make a file that its owner alone may read: whole, or not at all. Raises FileExistsError, OSError."""
    fresh = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    try:
        to_disk(fresh)
        os.link(fresh, path)  # unlike a rename, this fails when the key exists
    finally:
        fresh.unlink()
    to_disk(path)
