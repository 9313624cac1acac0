"""Passwords of Kafka users: a folder with a file for each, which holds the password alone."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from m0common.errors import SettingsError

PASSWORD_BYTES = 32


def folder(keys_dir: str) -> Path:
    """Where they are, below the keys of a deployment."""
    return Path(keys_dir) / "kafka"


def password_of(directory: Path, user: str) -> str:
    """A user's password. Raises SettingsError."""
    try:
        found = (directory / user).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"the password of Kafka's user {user} cannot be read from {directory / user}: {error}: "
            "`m0 topics apply` makes it"
        ) from error
    if not found:
        raise SettingsError(f"{directory / user} is empty: write the password of user {user} into it, or delete it")
    return found


def ensure_passwords(directory: Path, users: Sequence[str]) -> dict[str, str]:
    """The password of each user; one that has none is given one, readable by its owner alone. Raises SettingsError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for user in users:
            if not (directory / user).exists():
                _write(directory / user, secrets.token_urlsafe(PASSWORD_BYTES))
    except OSError as error:
        raise SettingsError(f"passwords cannot be written to {directory}: {error}: name a folder of yours") from error
    return {user: password_of(directory, user) for user in users}


def _write(file: Path, text: str) -> None:
    fresh = file.with_name(f"{file.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(text)
    fresh.replace(file)
