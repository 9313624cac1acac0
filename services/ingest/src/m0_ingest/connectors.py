"""What feeds each catalog: the table `[connector]` of `markets/<catalog>.toml` beside the settings file."""

import datetime as dt
import tomllib
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from m0common.errors import SettingsError, nearest
from m0common.section import Section
from m0domains.crypto import dataset as books
from m0domains.history import Dataset
from m0domains.sports import dataset as football
from m0domains.timeline import DAY_MS
from pydantic import Field, TypeAdapter, ValidationError


class History(Section):
    """Keys of every history: how fast, and how patient. Times are milliseconds of now."""

    day_lasts_ms: int = Field(default=DAY_MS, ge=1)
    lead_ms: int = Field(default=20_000, ge=0)
    hold_ms: int = Field(default=60_000, ge=0)
    resume_gap_ms: int = Field(default=60_000, ge=1)


class FootballHistory(History):
    """The football sample; see `m0domains.sports.dataset`."""

    domain: ClassVar[str] = "sports"
    connector: Literal["football"]
    live_from: dt.date
    open_days: int = Field(default=7, ge=1, le=60)
    max_gap_days: int = Field(default=4, ge=1)
    titles: dict[str, str] = Field(min_length=1)

    def dataset(self) -> Dataset:
        """The items and markets to play. Raises InvalidValue."""
        return football.load(football.FootballOptions(self.live_from, self.open_days, self.max_gap_days, self.titles))


class BooksHistory(History):
    """The order book sample; see `m0domains.crypto.dataset`."""

    domain: ClassVar[str] = "crypto"
    connector: Literal["books"]
    group: str = Field(min_length=1, max_length=32)
    max_gap_ms: int = Field(default=60_000, ge=1000)

    def dataset(self) -> Dataset:
        """The items and markets to play. Raises InvalidValue."""
        return books.load(self.group, self.max_gap_ms)


Connector = FootballHistory | BooksHistory
_adapter: TypeAdapter[Connector] = TypeAdapter(Annotated[Connector, Field(discriminator="connector")])
TABLE = "connector"


def load(path: Path) -> Connector | None:
    """The connector in `path`; None when there is no such file or table.

    Raises SettingsError naming the key and the nearest valid one.
    """
    try:
        values = tomllib.loads(path.read_text()).get(TABLE)
    except FileNotFoundError:
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    if values is None:
        return None
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: {TABLE} is {values!r}: write it as a table, [{TABLE}]")
    try:
        return _adapter.validate_python(values)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(path, e["loc"], e["type"], e["msg"]) for e in error.errors())) from None


def _explain(path: Path, place: tuple[int | str, ...], kind: str, message: str) -> str:
    key = str(place[-1]) if place else ""
    if kind == "extra_forbidden":
        known = [*FootballHistory.model_fields, *BooksHistory.model_fields]
        return f"{path}: {TABLE}.{key} is not a setting{nearest(key, known)}"
    return f"{path}: {'.'.join([TABLE, *map(str, place[1:])])}: {message}"
