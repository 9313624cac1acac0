"""Keys of a local deployment, all under the keys directory and made where missing.

Development roles and program addresses are plain files in the format of the Solana tools, readable by their owner;
signers' keys are encrypted with the passphrase of the stack.
"""

from dataclasses import dataclass
from pathlib import Path

from m0chain.keystore import create_key_file, public_key_of, read_passphrase
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from m0local.keys import ensure_passphrase, ensure_plain_key

SIGNERS = ("signer-1", "signer-2", "signer-3")
SOURCES = ("clock", "registry")


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
    sources: dict[str, Pubkey]
    """Who signs control events: the epoch clock and the registry's events; not the program of that name."""


def ensure_keys(directory: Path, passphrase_file: Path) -> Keys:
    """Read the keys in `directory`, making those that are missing."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ensure_passphrase(passphrase_file)
    return Keys(
        admin=ensure_plain_key(directory / "admin.json"),
        guardian=ensure_plain_key(directory / "guardian.json"),
        registrar=ensure_plain_key(directory / "registrar.json"),
        resolver=ensure_plain_key(directory / "resolver.json"),
        oracle=ensure_plain_key(directory / "program-oracle.json"),
        registry=ensure_plain_key(directory / "program-registry.json"),
        signers={name: _encrypted(directory / f"{name}.json", passphrase_file) for name in SIGNERS},
        sources={name: ensure_plain_key(directory / f"{name}.json").pubkey() for name in SOURCES},
    )


def _encrypted(path: Path, passphrase_file: Path) -> Pubkey:
    if path.exists():
        return public_key_of(path)
    return create_key_file(path, read_passphrase(passphrase_file))
