"""The passphrase of this stack's key files: random, made at the first start, readable by its owner alone."""

import os
import secrets
from pathlib import Path

BYTES = 32


def ensure_passphrase(path: Path) -> None:
    """Create the passphrase file where missing; an existing one is left alone, whatever it holds."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        return
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
