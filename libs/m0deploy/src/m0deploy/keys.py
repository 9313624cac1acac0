"""Keys and passwords of a deployment: who holds which, in which file; made where missing, and never written over.

Roles and program addresses are plain files in the format of the Solana tools, readable by their owner; signers' keys
are encrypted with the passphrase; users of Kafka have a file with their password each. The control key lies apart from
all others: whoever has it says what the lanes run.
"""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from m0chain.keyfile import plain_key, write_new, write_plain_key
from m0chain.keystore import create_key_file, public_key_of, read_passphrase
from m0common import deployment_record
from m0common.errors import SettingsError
from m0common.rights import principals
from m0kafka.passwords import ensure_passwords
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from m0deploy.errors import ANEW, DeployError
from m0deploy.site import DATABASE_USER, Site

ADMINISTRATOR = "admin"
"""Of Kafka: who makes topics, users and rights, and whom no rights of ours concern."""
PASSPHRASE_BYTES = 32
ROLES = ("admin", "guardian", "registrar", "resolver")
PROGRAMS = ("oracle", "registry")
SOURCES = ("clock", "registry")
"""Who signs control events: the epoch clock and the registry's events; not the program of that name."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Everybody who acts on chain; `admin` also deploys the programs and pays for it."""

    admin: Keypair
    guardian: Keypair
    registrar: Keypair
    resolver: Keypair
    oracle: Keypair
    registry: Keypair
    signers: dict[str, Pubkey]
    control: Pubkey


class Item(NamedTuple):
    """A file of a deployment that holds a secret."""

    path: Path
    holder: str


def signer_names(count: int) -> tuple[str, ...]:
    """The signers of a deployment that has so many."""
    return tuple(f"signer-{number}" for number in range(1, count + 1))


def users(signers: int) -> tuple[str, ...]:
    """Every user of Kafka."""
    return (ADMINISTRATOR, *principals(signers))


def items(site: Site, signers: int) -> Iterator[Item]:
    """Every file that `ensure` makes and who needs it."""
    yield Item(site.control_key, "operator")
    for name in ROLES:
        yield Item(site.keys / f"{name}.json", {"registrar": "ingest", "resolver": "jobs"}.get(name, "operator"))
    for name in PROGRAMS:
        yield Item(site.keys / f"program-{name}.json", "operator")
    for name in SOURCES:
        yield Item(site.keys / f"{name}.json", "ingest")
    yield Item(site.passphrase, "signers")
    for name in signer_names(signers):
        yield Item(site.keys / f"{name}.json", name)
    for user in users(signers):
        yield Item(site.kafka_passwords / user, "operator" if user == ADMINISTRATOR else user)
    yield Item(site.database_password, "operator")
    yield Item(site.database_login, "ingest, indexer, api, realtime, jobs")


def ensure(site: Site, signers: int) -> list[Item]:
    """Make every key that is missing; returns those that were made. Passwords of Kafka's users are not among them, see
    `ensure_users`.

    Raises SettingsError for what cannot be read or written, DeployError for a control key that is gone.
    """
    for folder in (site.keys, site.control):
        _make_folder(folder)
    _refuse_another_control_key(site)
    missing = [item for item in items(site, signers) if not item.path.exists()]
    ensure_passphrase(site.passphrase)
    for name in signer_names(signers):
        if not (path := site.keys / f"{name}.json").exists():
            create_key_file(path, read_passphrase(site.passphrase))
    for item in missing:
        if item.path.suffix == ".json" and not item.path.exists():
            write_plain_key(item.path, Keypair())
    return [item for item in missing if item.path.exists()]


def ensure_users(site: Site, signers: int) -> list[Item]:
    """Make a password for every user of Kafka and of the database that has none; returns the files that were made.
    Raises SettingsError.
    """
    before = {item.path for item in items(site, signers) if item.path.exists()}
    ensure_passwords(site.kafka_passwords, users(signers))
    password = ensure_passwords(site.database_password.parent, [DATABASE_USER])[DATABASE_USER]
    if not site.database_login.exists():
        # as libpq reads it: host, port, database, user, password
        write_new(site.database_login, f"*:*:*:{DATABASE_USER}:{password}\n".encode())
    return [item for item in items(site, signers) if item.path.exists() and item.path not in before]


def read(site: Site, signers: int) -> Keys:
    """The keys of a site. Raises SettingsError naming a file that is missing or damaged, DeployError for a control key
    that is not the deployment's.
    """
    _refuse_another_control_key(site)
    return Keys(
        admin=_plain(site.keys / "admin.json"),
        guardian=_plain(site.keys / "guardian.json"),
        registrar=_plain(site.keys / "registrar.json"),
        resolver=_plain(site.keys / "resolver.json"),
        oracle=_plain(site.keys / "program-oracle.json"),
        registry=_plain(site.keys / "program-registry.json"),
        signers={name: _encrypted(site.keys / f"{name}.json") for name in signer_names(signers)},
        control=_plain(site.control_key).pubkey(),
    )


def ensure_passphrase(path: Path) -> None:
    """Create the passphrase file where missing; an existing one is left alone, whatever it holds."""
    _make_folder(path.parent)
    if path.exists():
        return
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(PASSPHRASE_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"folder {path} for keys cannot be made: {error.strerror}: name one of yours") from error


def _plain(path: Path) -> Keypair:
    if not path.exists():
        raise SettingsError(f"key file {path} does not exist: `m0 keys init` makes what is missing")
    return plain_key(path)


def _encrypted(path: Path) -> Pubkey:
    if not path.exists():
        raise SettingsError(f"key file {path} does not exist: `m0 keys init` makes what is missing")
    return public_key_of(path)


def _refuse_another_control_key(site: Site) -> None:
    known = deployment_record.read(site.record).get("control_key")
    if known and not site.control_key.exists():
        raise DeployError(
            f"the control key {site.control_key} is gone and this deployment cannot have another: restore it, {ANEW}"
        )
