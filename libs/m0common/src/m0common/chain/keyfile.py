"""Plain key files in the format of the Solana tools: a JSON list of 64 bytes."""

import json
from pathlib import Path

from solders.keypair import Keypair

from m0common.errors import SettingsError


def plain_key(path: Path) -> Keypair:
    """The key in `path`. Raises SettingsError naming the file and the remedy."""
    try:
        return Keypair.from_bytes(bytes(json.loads(path.read_text())))
    except FileNotFoundError:
        raise SettingsError(f"key file {path} does not exist: provision the chain, or set M0_KEYS_DIR") from None
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"key file {path} is not a key of the Solana tools: {error}") from error
