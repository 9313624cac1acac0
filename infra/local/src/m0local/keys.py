"""Secrets of this stack: random, made at the first start, readable by their owner alone.

The passphrase of signers' key files, plain key files in the format of the Solana tools, and the control key, which lies
apart from all others.
"""

import json
import os
import secrets
from pathlib import Path

from solders.keypair import Keypair

from m0local.errors import LocalStackError

BYTES = 32


def ensure_passphrase(path: Path) -> None:
    """Create the passphrase file where missing; an existing one is left alone, whatever it holds."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        return
    _write(path, secrets.token_urlsafe(BYTES) + "\n")


def ensure_plain_key(path: Path) -> Keypair:
    """The key in `path`, made where missing. Raises LocalStackError for a file that holds none."""
    try:
        return Keypair.from_bytes(bytes(json.loads(path.read_text())))
    except FileNotFoundError:
        keypair = Keypair()
    except ValueError as error:
        raise LocalStackError(f"Key file {path} is damaged ({error}): restore it, or `make clean`.") from error
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(path, json.dumps(list(bytes(keypair))))
    return keypair


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
