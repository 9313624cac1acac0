"""What an operator writes about a catalog: `markets/<catalog>.toml` and `risk/<catalog>.toml` beside the settings file.

Of the first only `[catalog]` is read here; `[connector]` belongs to the connector. The second holds the guardrails'
integers.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from m0common.errors import SettingsError, nearest
from m0common.section import Section, in_words
from m0lanes.control import GROUPS_MAX
from pydantic import Field, StrictBool, StrictInt, TypeAdapter, ValidationError

INSTALLED = "installed"


class SourceTable(Section):
    """`[catalog.sources] NAME`: `key` is true for the public key in the key file of that name, or 64 hex digits."""

    kinds: tuple[str, ...] = Field(min_length=1)
    key: Literal[True] | str | None = None
    dense: StrictBool = False


class CatalogTable(Section):
    """`[catalog]`: what a generation of the catalog is; `release` is 64 hex digits, or that of the installed code."""

    domain: str
    model: str
    epoch_ms: StrictInt
    horizon_ms: StrictInt
    groups: tuple[str, ...] = Field(min_length=1)
    sources: dict[str, SourceTable] = Field(min_length=1)
    params: dict[str, StrictInt] = Field(default_factory=dict)
    release: str = INSTALLED


@dataclass(frozen=True, slots=True)
class CatalogFiles:
    """Both files of one catalog."""

    name: str
    path: Path
    risk_path: Path
    table: CatalogTable
    guardrails: Mapping[str, int]


_integers: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, StrictInt])


def names(config_dir: Path) -> list[str]:
    """The catalogs that have a markets file, ascending."""
    return sorted(path.stem for path in (config_dir / "markets").glob("*.toml"))


def read(config_dir: Path, name: str, path: Path | None = None) -> CatalogFiles:
    """The files of catalog `name`; `path` takes the place of its markets file, and a missing risk file is empty.

    Raises SettingsError naming file, key, value and the valid name that it resembles, or all of them.
    """
    markets, risk = path or config_dir / "markets" / f"{name}.toml", config_dir / "risk" / f"{name}.toml"
    if not markets.exists():
        where = f"{markets} does not exist"
        raise SettingsError(where if path else f"catalog {name} has no file: {where}{nearest(name, names(config_dir))}")
    values = _toml(markets)
    if "catalog" not in values:
        raise SettingsError(f"{markets}: there is no table [catalog]{nearest('catalog', values)}")
    _check_count(markets, values["catalog"])
    try:
        table = CatalogTable.model_validate(values["catalog"])
    except ValidationError as error:
        raise SettingsError(*(_explain(markets, e) for e in error.errors())) from None
    try:
        guardrails = _integers.validate_python(_toml(risk)) if risk.exists() else {}
    except ValidationError as error:
        raise SettingsError(*(_said(risk, _dotted(e["loc"]), e) for e in error.errors())) from None
    return CatalogFiles(name, markets, risk, table, guardrails)


def _toml(path: Path) -> dict[str, Any]:  # values are of every type that TOML has
    try:
        return tomllib.loads(path.read_text())
    except (ValueError, OSError) as error:  # no TOML, no UTF-8, or a number that Python takes no time for
        raise SettingsError(f"{path}: {error}") from error
    except RecursionError:
        raise SettingsError(f"{path}: brackets are nested too deep: no setting needs more than 3") from None


def _check_count(path: Path, table: Any) -> None:  # whatever stands in the file
    """Raises SettingsError for more groups than a catalog has, before anything looks at each of them."""
    groups = table.get("groups") if isinstance(table, dict) else None
    if isinstance(groups, list) and len(groups) > GROUPS_MAX:
        raise SettingsError(
            f"{path}: catalog.groups has {len(groups)} groups: a catalog takes at most {GROUPS_MAX}, divide them "
            "between several"
        )


def _explain(path: Path, error: Any) -> str:  # pydantic's error, a typed dict of its own
    place = error["loc"]
    where = _dotted(("catalog", *place))
    if error["type"] != "extra_forbidden":
        return _said(path, where, error)
    known = SourceTable.model_fields if len(place) > 1 else CatalogTable.model_fields
    return f"{path}: {where} is not a setting{nearest(str(place[-1]), known)}"


def _said(path: Path, where: str, error: Any) -> str:  # as above
    given = "" if error["type"] == "missing" else f" = {error['input']!r}"
    return f"{path}: {where}{given}: {in_words(error['msg'])}"


def _dotted(place: Iterable[int | str]) -> str:
    return ".".join(str(part) for part in place)
