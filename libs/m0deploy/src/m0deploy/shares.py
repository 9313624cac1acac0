"""A deployment's keys as Secrets of Kubernetes: one for each holder, so that a pod is given its holder's and no more.

| Secret | whose |
|---|---|
| `PREFIX-control` | the control key; for bootstrap and warden |
| `PREFIX-chain` | the keys of the operator on chain, and of the programs; for bootstrap |
| `PREFIX-servers` | who administers Kafka, and owns the database; for bootstrap, upgrades, and servers in the cluster |
| `PREFIX-operator` | the operator's login to Kafka; for commands |
| `PREFIX-SERVICE`, `PREFIX-signer-N` | that process's |

A key of a Secret is the file's name below keys/ with `.` for `/`: `registrar.json`, `kafka.ingest`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from m0common.errors import SettingsError
from m0common.rights import OPERATOR

from m0deploy.keys import Item, items, signer_names
from m0deploy.site import DATABASE_USER, Site

CONTROL = "control"
CHAIN = "chain"
SERVERS = "servers"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?")


class Share(NamedTuple):
    """A file of a deployment in the Secret of a holder."""

    secret: str
    key: str
    file: Path


def shares(site: Site, signers: int, prefix: str) -> Iterator[Share]:
    """Every file with the Secrets that it belongs to. Raises SettingsError for a prefix that no Secret's name has."""
    if not _NAME.fullmatch(prefix):
        raise SettingsError(
            f"prefix {prefix!r} cannot begin the name of a Secret: write letters a-z, digits and dashes"
        )
    for item in items(site, signers):
        key = item.path.name if item.path == site.control_key else _key(item.path.relative_to(site.keys))
        for holder in _holders(site, item, signers):
            yield Share(f"{prefix}-{holder}", key, item.path)


def contents(site: Site, signers: int, prefix: str) -> dict[str, dict[str, str]]:
    """What each Secret holds, by its name and key. Raises SettingsError for a file that cannot be read."""
    found: dict[str, dict[str, str]] = {}
    for share in shares(site, signers, prefix):
        found.setdefault(share.secret, {})[share.key] = _read(share.file)
    return dict(sorted(found.items()))


def manifests(site: Site, signers: int, prefix: str) -> dict[str, object]:
    """The Secrets as a List for `kubectl apply`. Raises SettingsError for a file that cannot be read."""
    made = [
        {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": name}, "stringData": content}
        for name, content in contents(site, signers, prefix).items()
    ]
    return {"apiVersion": "v1", "kind": "List", "items": made}


def database_address(site: Site, host: str) -> str:
    """The address of the database at `host` (host:port) with its user's password. Raises SettingsError."""
    password = quote(_read(site.database_password).strip(), safe="")
    return f"postgresql://{DATABASE_USER}:{password}@{host}/{DATABASE_USER}"


def _read(file: Path) -> str:
    """A key file as text. Raises SettingsError."""
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise SettingsError(f"key file {file} cannot be read ({why}): `m0 keys init` makes what is missing") from error


def _key(path: Path) -> str:
    return ".".join(path.parts)


def _holders(site: Site, item: Item, signers: int) -> tuple[str, ...]:
    if item.path == site.control_key:
        return (CONTROL,)
    if item.holder == "signers":
        return signer_names(signers)
    if item.holder != OPERATOR:
        return tuple(item.holder.split(", "))
    if item.path == site.kafka_passwords / OPERATOR:
        return (OPERATOR,)
    return (CHAIN,) if item.path.parent == site.keys else (SERVERS,)
