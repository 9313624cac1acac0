"""Plain key files in the format of the Solana tools: a JSON list of 64 bytes."""

import json
import os
from pathlib import Path

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
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SettingsError(f"{path} exists: a key is never written over, name another file") from None
    except OSError as error:
        raise SettingsError(f"key file {path} cannot be written: {error}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(list(bytes(key))) + "\n")
