"""Rows of CSV files, read so that whatever is wrong with one names its file, row and value."""

import csv
import datetime as dt
import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec
from m0common.errors import InvalidValue

P = TypeVar("P", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands (`number` is that of its line, the header's is 1) and its fields."""

    file: str
    number: int
    fields: Mapping[str, str]

    def text(self, name: str) -> str:
        """A field that is not empty and has no blanks around it."""
        value = self.fields[name]
        if not value or value != value.strip():
            self.refuse(name, "must not be empty or have blanks around it")
        return value

    def integer(self, name: str) -> int:
        """A field of ASCII digits alone."""
        value = self.fields[name]
        if not (value.isascii() and value.isdigit() and len(value) <= 18):
            self.refuse(name, "must be a whole number written in digits")
        return int(value)

    def date(self, name: str) -> dt.date:
        """A field of the form 2015-08-22."""
        value = self.fields[name]
        try:
            found = dt.date.fromisoformat(value)
        except ValueError:
            self.refuse(name, "must be a date of the form 2015-08-22")
        if found.isoformat() != value:
            self.refuse(name, "must be a date of the form 2015-08-22")
        return found

    def payload(self, kind: type[P], values: Mapping[str, object]) -> P:
        """A payload whose bounds have been checked, which its constructor does not do."""
        try:
            return msgspec.convert(values, kind)
        except msgspec.ValidationError as error:
            raise InvalidValue(f"{self.file}, row {self.number}: {error}") from None

    def refuse(self, name: str, why: str) -> NoReturn:
        """Raise InvalidValue about a field."""
        raise InvalidValue(f"{self.file}, row {self.number}: {name} {self.fields[name]!r} {why}")


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Every row of a CSV file in UTF-8, gzipped when its name ends in `.gz`. Raises InvalidValue unless it has exactly
    these columns in the header and in each row.
    """
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return parse(path.name, raw, columns)


def parse(name: str, raw: bytes, columns: Sequence[str]) -> list[Row]:
    """See read_rows."""
    if raw.startswith(b"\xef\xbb\xbf"):
        raise InvalidValue(f"{name}, row 1: begins with a byte order mark: save it as UTF-8 without one")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        line = raw.splitlines()[number - 1]
        raise InvalidValue(f"{name}, row {number}: {line!r} is not UTF-8: save the file as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        header = next(reader, [])
        if header != list(columns):
            raise InvalidValue(f"{name}, row 1: columns {header}: need {list(columns)}")
        for fields in reader:
            if not any(fields):
                continue
            if len(fields) != len(columns):
                raise InvalidValue(f"{name}, row {reader.line_num}: {fields} has not {len(columns)} fields")
            rows.append(Row(name, reader.line_num, dict(zip(columns, fields, strict=True))))
    except csv.Error as error:
        raise InvalidValue(f"{name}, row {reader.line_num}: {error}") from None
    return rows
