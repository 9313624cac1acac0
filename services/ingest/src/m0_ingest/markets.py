"""What feeds each catalog: `markets/<catalog>.toml` beside the settings file."""

import datetime as dt
import difflib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from m0common.errors import SettingsError
from m0common.settings import Section
from pydantic import Field, TypeAdapter, ValidationError

from m0_ingest import books, football
from m0_ingest.data.build import BOOKS, FOOTBALL, MARKETS
from m0_ingest.dataset import Dataset
from m0_ingest.timeline import DAY_MS


class Replay(Section):
    """Keys of every replay: how fast, and how patient. Times are milliseconds of now."""

    day_lasts_ms: int = Field(default=DAY_MS, ge=1)
    lead_ms: int = Field(default=20_000, ge=0)
    hold_ms: int = Field(default=60_000, ge=0)
    resume_gap_ms: int = Field(default=60_000, ge=1)


class FootballReplay(Replay):
    """The football sample; see `m0_ingest.football`."""

    connector: Literal["football"]
    live_from: dt.date
    open_days: int = Field(default=7, ge=1, le=60)
    max_gap_days: int = Field(default=4, ge=1)
    titles: dict[str, str] = Field(min_length=1)

    def dataset(self, _: str) -> Dataset:
        """The items and markets to play."""
        options = football.FootballOptions(self.live_from, self.open_days, self.max_gap_days, self.titles)
        with resources.as_file(resources.files("m0_ingest.data")) as folder:
            return football.load(folder / FOOTBALL, options)


class BooksReplay(Replay):
    """The order book sample; see `m0_ingest.books`."""

    connector: Literal["books"]
    group: str = Field(min_length=1, max_length=32)
    max_gap_ms: int = Field(default=60_000, ge=1000)

    def dataset(self, catalog: str) -> Dataset:
        """The items and markets to play."""
        with resources.as_file(resources.files("m0_ingest.data")) as folder:
            return books.load(folder / BOOKS, folder / MARKETS, catalog, self.group, self.max_gap_ms)


AnyReplay = Annotated[FootballReplay | BooksReplay, Field(discriminator="connector")]
_adapter: TypeAdapter[FootballReplay | BooksReplay] = TypeAdapter(AnyReplay)


def load(path: Path, overrides: dict[str, int | str | bool]) -> FootballReplay | BooksReplay | None:
    """The replay in `path` with `overrides` on top; None when there is no such file and nothing is overridden.

    Raises SettingsError naming the key and the nearest valid one.
    """
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        if not overrides:
            return None
        values = {}
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from error
    try:
        return _adapter.validate_python(values | overrides)
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(path, e["loc"], e["type"], e["msg"]) for e in error.errors())) from None


def _explain(path: Path, place: tuple[int | str, ...], kind: str, message: str) -> str:
    key = str(place[-1]) if place else ""
    if kind == "extra_forbidden":
        known = [*FootballReplay.model_fields, *BooksReplay.model_fields]
        return f"{path}: {key} is not a setting: did you mean {difflib.get_close_matches(key, known, 1, 0.0)[0]}?"
    return f"{path}: {'.'.join(map(str, place[1:])) or 'connector'}: {message}"
