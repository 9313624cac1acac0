"""The registry of our programs: under which address each one runs on which cluster, in one file.

    [devnet.oracle]
    id = "<base58>"
    sha256 = "<hex>"     # may be left out: of the file that is to run there

What is not in it has an address of each deployment's own, made by `m0 keys init`. Settings, keys and `Anchor.toml` are
compared with it: none of them says an address of its own on a cluster that the registry knows.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from m0common.addresses import PLACEHOLDER
from m0common.deployment import program_ids
from m0common.deployment_record import PROGRAMS
from m0common.errors import SettingsError, nearest
from m0common.settings import Settings
from solders.pubkey import Pubkey

from m0deploy.clusters import CLUSTERS, TEST_CLUSTER, cluster_of
from m0deploy.errors import DeployError

FILE = "registry.toml"
ANCHOR_FILE = "Anchor.toml"
VARIABLE = "M0_PROGRAM_REGISTRY"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REMEDY = "correct the one that is wrong"


class Entry(NamedTuple):
    """The address, base58, and the hash, hex, of the file that is to run there; None when any may."""

    id: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Registry:
    """What is registered, by cluster and program; `path` is None where there is no file."""

    path: Path | None = None
    entries: Mapping[tuple[str, str], Entry] = field(default_factory=dict)

    def of(self, cluster: str) -> dict[str, Entry]:
        """The programs of a cluster by name."""
        return {name: entry for (where, name), entry in self.entries.items() if where == cluster}

    def differing(self, cluster: str, ids: Mapping[str, tuple[str, str]]) -> list[str]:
        """A sentence for each of `ids` that is another one here: by program what says it, and the address."""
        known = self.of(cluster)
        return [
            f"{who} is {address}, and {self.path} has {known[name].id} for {name} on {cluster}: {_REMEDY}"
            for name, (who, address) in ids.items()
            if name in known and known[name].id != address
        ]

    def refuse_other_bytes(self, cluster: str, code: Mapping[str, bytes]) -> None:
        """Raise DeployError when a built program, by name, is not the one that is to run on the cluster."""
        for name, entry in self.of(cluster).items():
            found = None if name not in code else hashlib.sha256(code[name]).hexdigest()
            if None not in (found, entry.sha256) and found != entry.sha256:
                raise DeployError(
                    f"program {name} as built has sha256 {found}, and {self.path} has {entry.sha256} for {cluster}: "
                    "name the folder with those bytes, or register these"
                )

    def refuse_new(self, cluster: str, ids: Mapping[str, object]) -> None:
        """Raise DeployError where a program, by name, is to go to a public cluster and has no address here."""
        known = self.of(cluster)
        new = {name: address for name, address in ids.items() if name not in known}
        if cluster != TEST_CLUSTER and new:
            where = self.path or "no file (M0_PROGRAM_REGISTRY names one)"
            lines = " ".join(f'[{cluster}.{name}] id = "{address}"' for name, address in new.items())
            raise DeployError(f"the registry of programs is {where} and lacks {lines}; write that into it first")

    def differing_settings(self, settings: Settings) -> list[str]:
        """The same of the addresses in the settings."""
        return self.differing(settings.solana.cluster, ids_of(settings))


def ids_of(settings: Settings) -> dict[str, tuple[str, str]]:
    """The programs that the settings name, by name: the setting, and the address."""
    return {
        name: (f"deployment.{name}_program_id", address)
        for name, address in program_ids(settings).items()
        if address and not address.startswith(PLACEHOLDER)
    }


def registry_path(environ: Mapping[str, str], programs: Path) -> Path | None:
    """The file: `M0_PROGRAM_REGISTRY`, else beside the folder of the built programs; None when it is not there.

    Raises SettingsError when the variable names no file.
    """
    if named := environ.get(VARIABLE):
        if not Path(named).is_file():
            raise SettingsError(f"{VARIABLE}={named} is no file: name the registry of programs, or unset it")
        return Path(named)
    beside = programs.absolute().parent / FILE
    return beside if beside.is_file() else None


def read(path: Path | None) -> Registry:
    """The registry, compared with the `Anchor.toml` beside it. Raises SettingsError naming file, place and value."""
    if path is None:
        return Registry()
    entries = {
        (cluster, name): _entry(path, f"{cluster}.{name}", value)
        for cluster, programs in _tables(path, _toml(path), CLUSTERS).items()
        for name, value in _tables(path, programs, PROGRAMS, f"{cluster}.").items()
    }
    anchor = path.with_name(ANCHOR_FILE)
    if anchor.is_file() and (faults := list(_anchor_faults(anchor, path, entries))):
        raise SettingsError(*faults)
    return Registry(path, entries)


def _anchor_faults(anchor: Path, path: Path, entries: Mapping[tuple[str, str], Entry]) -> Iterator[str]:
    said = _toml(anchor).get("programs", {})
    named = {
        (cluster_of(cluster), name.removeprefix("m0_")): address
        for cluster, programs in said.items()
        for name, address in programs.items()
    }
    for cluster, name in sorted({*named, *entries}):
        entry, address = entries.get((cluster, name)), named.get((cluster, name))
        if (None if entry is None else entry.id) != address:
            here = "nothing" if entry is None else entry.id
            yield f"{anchor} has {address or 'nothing'} for {name} on {cluster}, and {path} has {here}: {_REMEDY}"


def _toml(path: Path) -> dict[str, Any]:  # values are of every type that TOML has
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"{path} cannot be read: {error}: correct it, as a table for each cluster and program, or name another "
            f"file by {VARIABLE}"
        ) from error


def _tables(path: Path, found: object, known: tuple[str, ...], before: str = "") -> dict[str, Any]:  # as above
    if not isinstance(found, dict):
        raise SettingsError(f"{path}: {before.rstrip('.')} is {found!r}: write it as a table")
    for name in found:
        if name not in known:
            raise SettingsError(f"{path}: {before}{name} is not known{nearest(name, known)}")
    return found


def _entry(path: Path, place: str, value: object) -> Entry:
    table = _tables(path, value, Entry._fields, f"{place}.")
    address, sha256 = table.get("id"), table.get("sha256")
    try:
        Pubkey.from_string(address or "")
    except (TypeError, ValueError):
        raise SettingsError(f"{path}: {place}.id = {address!r} is no address: write 32 bytes in base58") from None
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise SettingsError(f"{path}: {place}.sha256 = {sha256!r} is no hash: write 64 hex digits, or leave it out")
    return Entry(str(address), sha256)
