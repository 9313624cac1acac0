"""Keys of a local deployment, all under the keys directory and made where missing.

Development roles and program addresses are plain files in the format of the Solana tools, readable by their owner;
signers' keys are encrypted with the passphrase of the stack.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from m0common.chain.keystore import create_key_file, public_key_of, read_passphrase
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from m0local.errors import LocalStackError
from m0local.keys import ensure_passphrase

SIGNERS = ("signer-1", "signer-2", "signer-3")


@dataclass(frozen=True, slots=True)
class Keys:
    """Everybody who acts on the local chain; `admin` also pays for the deployment."""

    admin: Keypair
    guardian: Keypair
    registrar: Keypair
    resolver: Keypair
    oracle: Keypair
    registry: Keypair
    signers: dict[str, Pubkey]


def ensure_keys(directory: Path, passphrase_file: Path) -> Keys:
    """Read the keys in `directory`, making those that are missing."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ensure_passphrase(passphrase_file)
    return Keys(
        admin=_plain(directory / "admin.json"),
        guardian=_plain(directory / "guardian.json"),
        registrar=_plain(directory / "registrar.json"),
        resolver=_plain(directory / "resolver.json"),
        oracle=_plain(directory / "program-oracle.json"),
        registry=_plain(directory / "program-registry.json"),
        signers={name: _encrypted(directory / f"{name}.json", passphrase_file) for name in SIGNERS},
    )


def _encrypted(path: Path, passphrase_file: Path) -> Pubkey:
    if path.exists():
        return public_key_of(path)
    return create_key_file(path, read_passphrase(passphrase_file))


def _plain(path: Path) -> Keypair:
    try:
        return Keypair.from_bytes(bytes(json.loads(path.read_text())))
    except FileNotFoundError:
        keypair = Keypair()
    except ValueError as error:
        raise LocalStackError(f"Key file {path} is damaged ({error}): restore it, or `make clean`.") from error
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(list(bytes(keypair)), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return keypair
