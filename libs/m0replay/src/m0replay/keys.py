"""The public keys of a catalog's sources, from their key files."""

import json
from collections.abc import Iterable
from pathlib import Path

from m0chain.keyfile import plain_key
from m0chain.keystore import public_key_of


def public_keys(keys_dir: Path, sources: Iterable[str]) -> dict[str, str]:
    """Source → public key in hex, for those with a key file `<source>.json`, plain or encrypted.

    Raises SettingsError or KeyStoreError for a file that holds no key.
    """
    found = {name: keys_dir / f"{name}.json" for name in sources}
    return {name: public_key(path).hex() for name, path in found.items() if path.exists()}


def public_key(path: Path) -> bytes:
    """The public key of a key file, plain or encrypted. Raises SettingsError or KeyStoreError."""
    try:
        is_plain = isinstance(json.loads(path.read_text()), list)
    except (OSError, ValueError, RecursionError):
        is_plain = True
    return bytes(plain_key(path).pubkey() if is_plain else public_key_of(path))
