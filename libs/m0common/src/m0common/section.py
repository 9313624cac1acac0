"""A table of the settings file, in which a setting that is a Secret may be given by the name of its file."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from m0common.secret import Secret

FILE = "_file"
"""Ends the name of the twin that names a secret's file; in capitals that of the variable."""
NUMBER_MAX = 1 << 40
"""As milliseconds more than thirty years. What is larger ends in an overflow somewhere."""


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def secrets(cls) -> Iterator[str]:
        """The names of the settings that are secret."""
        return (name for name, field in cls.model_fields.items() if is_secret(field.annotation))

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        taken = dict(values)
        for name, field in cls.model_fields.items():
            if isinstance(taken.get(name), bool) and field.annotation in {int, float}:
                raise ValueError(f"{name} = {str(taken[name]).lower()} is no number")  # it would pass for 1 or 0
        for name in cls.secrets():
            twin = name + FILE
            if twin not in taken:
                continue
            if name in taken:
                raise ValueError(f"{name} and {twin} are both set: keep one of them")
            file, kind = taken.pop(twin), cls.model_fields[name].annotation
            if not isinstance(file, str) or not isinstance(kind, type):
                raise ValueError(f"{twin} is {file!r}: write the path of a file")  # noqa: TRY004 - what pydantic takes
            taken[name] = kind(file=Path(file)) if file else kind()
        return taken

    @field_validator("*")
    @classmethod
    def _check_size(cls, value: object) -> object:
        if isinstance(value, int) and value > NUMBER_MAX:
            raise ValueError(f"at most {NUMBER_MAX}: no time in milliseconds and no count needs more")
        return value


def in_words(message: str) -> str:
    """What pydantic says of a value; of a ValueError of ours its text alone."""
    return message.removeprefix("Value error, ")


def is_secret(annotation: object) -> bool:
    """Whether a setting of this type is a secret."""
    return isinstance(annotation, type) and issubclass(annotation, Secret)
