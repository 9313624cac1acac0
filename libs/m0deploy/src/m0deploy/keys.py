"""Keys and passwords of a deployment: who holds which, in which file; made where missing, and never written over.

Roles and program addresses are plain files in the format of the Solana tools, readable by their owner; signers' keys
are encrypted with the passphrase; users of Kafka have a file with their password each. The control key lies apart from
all others: whoever has it says what the lanes run.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from m0chain.keyfile import plain_key, write_new, write_plain_key
from m0chain.keystore import create_key_file, public_key_of, read_passphrase
from m0common import deployment_record
from m0common.errors import SettingsError
from m0common.rights import ADMINISTRATOR, OPERATOR, principals
from m0kafka.passwords import ensure_passwords
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from m0deploy.errors import ANEW, DeployError
from m0deploy.site import DATABASE_USER, Site

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


def plain_items(site: Site) -> Iterator[Item]:
    """Every key in plain."""
    yield Item(site.control_key, OPERATOR)
    for name in ROLES:
        yield Item(site.keys / f"{name}.json", {"registrar": "ingest", "resolver": "jobs"}.get(name, OPERATOR))
    for name in PROGRAMS:
        yield Item(site.program_key(name), OPERATOR)
    for name in SOURCES:
        yield Item(site.keys / f"{name}.json", "ingest")


def items(site: Site, signers: int) -> Iterator[Item]:
    """Every file that `init` makes and who needs it."""
    yield from plain_items(site)
    yield Item(site.passphrase, "signers")
    for name in signer_names(signers):
        yield Item(site.keys / f"{name}.json", name)
    for user in users(signers):
        yield Item(site.kafka_passwords / user, OPERATOR if user == ADMINISTRATOR else user)
    yield Item(site.database_password, OPERATOR)
    yield Item(site.database_login, "ingest, indexer, api, realtime, jobs")


def init(site: Site, signers: int) -> list[Item]:
    """Make every key and password that is missing; returns what was made. Raises as `ensure` does."""
    with _alone(site):
        missing = [item for item in items(site, signers) if not item.path.exists()]
        _make_keys(site, signers)
        _make_users(site, signers)
    return missing


def ensure(site: Site, signers: int) -> None:
    """Make every key that is missing.

    Raises SettingsError for what cannot be read or written or is no key, DeployError for a control key that is gone,
    or a passphrase.
    """
    with _alone(site):
        _make_keys(site, signers)


def ensure_users(site: Site, signers: int) -> None:
    """Make a password for every user of Kafka and of the database that has none. Raises SettingsError."""
    with _alone(site):
        _make_users(site, signers)


@contextmanager
def _alone(site: Site) -> Iterator[None]:
    """Wait for another that makes keys here: what the two make would not go together."""
    for folder in (site.keys, site.control):
        _make_folder(folder)
    held = os.open(site.keys, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _make_keys(site: Site, signers: int) -> None:
    _refuse_another_control_key(site)
    if not site.passphrase.exists():
        _refuse_another_passphrase(site)
        write_new(site.passphrase, f"{secrets.token_urlsafe(PASSPHRASE_BYTES)}\n".encode())
    for name in signer_names(signers):
        if (path := site.keys / f"{name}.json").exists():
            public_key_of(path)
        else:
            create_key_file(path, read_passphrase(site.passphrase))
    for item in plain_items(site):
        if item.path.exists():
            plain_key(item.path)
        else:
            write_plain_key(item.path, Keypair())


def _make_users(site: Site, signers: int) -> None:
    ensure_passwords(site.kafka_passwords, users(signers))
    password = ensure_passwords(site.database_password.parent, [DATABASE_USER])[DATABASE_USER]
    if not site.database_login.exists():
        # as libpq reads it: host, port, database, user, password
        write_new(site.database_login, f"*:*:*:{DATABASE_USER}:{password}\n".encode())


def read(site: Site, signers: int) -> Keys:
    """The keys of a site. Raises SettingsError naming a file that is missing or damaged, DeployError for a control key
    that is not the deployment's.
    """
    _refuse_another_control_key(site)
    return Keys(
        admin=_plain(site.admin_key),
        guardian=_plain(site.keys / "guardian.json"),
        registrar=_plain(site.keys / "registrar.json"),
        resolver=_plain(site.keys / "resolver.json"),
        oracle=_plain(site.program_key("oracle")),
        registry=_plain(site.program_key("registry")),
        signers={name: _encrypted(site.keys / f"{name}.json") for name in signer_names(signers)},
        control=_plain(site.control_key).pubkey(),
    )


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


def _refuse_another_passphrase(site: Site) -> None:
    encrypted = sorted(site.keys.glob("signer-*.json"))
    if encrypted:
        raise DeployError(
            f"the passphrase {site.passphrase} is gone, and {', '.join(file.name for file in encrypted)} beside it "
            "cannot be opened with another: restore it, or take those files away and make a set of new signers"
        )
