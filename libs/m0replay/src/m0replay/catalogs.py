"""From what an operator wrote about a catalog to the `catalog_set` that defines its next generation.

`compose` is pure: the installed domains and the sources' public keys are given.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
from m0common.errors import SettingsError, nearest
from m0common.messages.codec import UNDECODABLE
from m0lanes.control import (
    CONTROL_KINDS,
    EPOCH_END,
    LANE_KINDS,
    MARKET_CLOSE,
    MARKET_KINDS,
    MARKET_OPEN,
    CatalogSetPayload,
    Certificate,
    DomainRef,
    SourceRule,
)
from m0lanes.port import ENTITY_MAX_BYTES

from m0replay.catalog_files import INSTALLED, CatalogFiles, SourceTable

CONTROL = "control"
"""The source of what the control key signs; no catalog lists it."""
SIGNED_KINDS = (EPOCH_END, MARKET_OPEN, MARKET_CLOSE)
"""What the control kinds of a catalog's own sources are; every catalog needs a source for each of them."""

_HEX32 = re.compile(r"[0-9a-f]{64}")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed domain: the distribution it comes in, its version, the release of its code in hex, what it knows."""

    name: str
    distribution: str
    version: int
    release: str
    models: frozenset[str]
    kinds: frozenset[str]


def compose(
    files: CatalogFiles,
    domains: Mapping[str, Installed],
    keys: Mapping[str, str],
    partitions: int,
    generation: int = 1,
    certificates: Sequence[Certificate] = (),
) -> CatalogSetPayload:
    """The set that `files` describe. `keys` are public keys in hex by name of source.

    Raises SettingsError naming file, key, value and the valid name that it resembles, or all of them.
    """
    path, table = files.path, files.table
    domain = domains.get(table.domain)
    if domain is None:
        raise SettingsError(
            f"{path}: catalog.domain = {table.domain!r} is not installed{nearest(table.domain, domains)}"
        )
    if table.model not in domain.models:
        near = nearest(table.model, sorted(domain.models))
        raise SettingsError(f"{path}: catalog.model = {table.model!r} is no model of domain {domain.name}{near}")
    payload = CatalogSetPayload(
        catalog=files.name,
        generation=generation,
        partitions=partitions,
        epoch_ms=table.epoch_ms,
        domain=DomainRef(domain.name, domain.distribution, domain.version),
        release=domain.release if table.release == INSTALLED else table.release,
        model=table.model,
        params=_params(files),
        horizon_ms=table.horizon_ms,
        groups=_groups(files),
        sources=_sources(files, domain, keys),
        certificates=tuple(certificates),
    )
    return _checked(files, payload)


def _params(files: CatalogFiles) -> dict[str, int]:
    for name in files.guardrails:
        if name in files.table.params:
            raise SettingsError(f"{files.risk_path}: {name} is in catalog.params of {files.path} too: keep one of them")
    return dict(sorted({**files.table.params, **files.guardrails}.items()))


def _groups(files: CatalogFiles) -> tuple[str, ...]:
    groups = files.table.groups
    for group in groups:
        if groups.count(group) > 1:
            raise SettingsError(f"{files.path}: catalog.groups names {group!r} twice: keep one of them")
    return tuple(sorted(groups))


def _sources(files: CatalogFiles, domain: Installed, keys: Mapping[str, str]) -> dict[str, SourceRule]:
    tables = files.table.sources
    said = {kind for table in tables.values() for kind in table.kinds}
    for kind in SIGNED_KINDS:
        if kind not in said:
            raise SettingsError(f"{files.path}: catalog.sources: no source may say {kind}: give it to one with a key")
    return {name: _source(files, domain, keys, name, tables[name]) for name in sorted(tables)}


def _source(
    files: CatalogFiles, domain: Installed, keys: Mapping[str, str], name: str, table: SourceTable
) -> SourceRule:
    where = f"{files.path}: catalog.sources.{name}"
    if name == CONTROL:
        raise SettingsError(f"{where}: the control key is the deployment's own: give the source another name")
    known = sorted({*SIGNED_KINDS, *domain.kinds})
    for kind in table.kinds:
        if kind not in known:
            raise SettingsError(f"{where}.kinds: {kind!r} is no kind of domain {domain.name}{nearest(kind, known)}")
        if kind in CONTROL_KINDS and table.key is None:
            raise SettingsError(f"{where}: {kind} must be signed: set key = true, or the public key in hex")
        if kind in MARKET_KINDS and not table.dense:
            raise SettingsError(f"{where}: {kind} must be numbered, old copies would count again: set dense = true")
        if kind in LANE_KINDS and table.dense:
            raise SettingsError(f"{where}: {kind} belongs to no group: a dense source numbers events of groups")
    key = keys.get(name) if table.key is True else table.key
    if table.key is True and key is None:
        raise SettingsError(f"{where}.key = true, but there is no key file {name}.json: make it, or set the key in hex")
    if key is not None and not _HEX32.fullmatch(key):
        raise SettingsError(f"{where}.key = {key!r} is no public key: write 64 hex digits, or true")
    return SourceRule(tuple(sorted(set(table.kinds))), key, table.dense)


def _checked(files: CatalogFiles, payload: CatalogSetPayload) -> CatalogSetPayload:
    """Every bound of the payload's types and its size, as whoever reads it checks them."""
    value = msgspec.json.encode(payload)
    if len(value) > ENTITY_MAX_BYTES:
        raise SettingsError(
            f"{files.path}: the set has {len(value)} bytes and {len(payload.groups)} groups: lanes take at most "
            f"{ENTITY_MAX_BYTES} bytes, divide the groups between two catalogs"
        )
    try:
        return msgspec.json.decode(value, type=CatalogSetPayload)
    except UNDECODABLE as error:
        text, _, place = str(error).partition(" - at `$")
        place = place.rstrip("`")
        raise SettingsError(f"{files.path}: catalog{place}{_value(payload, place)}: {text}") from None


def _value(payload: CatalogSetPayload, place: str) -> str:
    """The value at a place of the payload such as `.groups[0]`, as the end of an assignment; empty when not given."""
    found = msgspec.to_builtins(payload)
    for key, index in _STEP.findall(place):
        found = found[key] if key else found[int(index)]
    return "" if "..." in place else f" = {found!r}"
