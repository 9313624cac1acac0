"""What a process refuses to start with: the places an operator has yet to fill in, and secrets that are none.

A process is asked only about what it uses, so that it can run without the secrets of others.
"""

from collections.abc import Collection, Iterator

from m0common.addresses import PLACEHOLDER
from m0common.errors import SettingsError, Unavailable
from m0common.secret import Secret, SecretKey
from m0common.section import FILE, Section
from m0common.settings import Settings, variables

ALWAYS = ("env", "home", "bind", "telemetry")
"""What every process uses."""


def refuse_unfit(settings: Settings, needs: Collection[str]) -> None:
    """Check what a process that uses the tables and settings `needs` was told.

    Raises SettingsError naming all that is unfit, ValueError when `needs` names what is no setting.
    """
    if unknown := [name for name in needs if name.split(".")[0] not in type(settings).model_fields]:
        raise ValueError(f"{unknown} are no settings: name tables or settings of m0common.settings")
    problems = [
        f"{_named(place)} {problem}"
        for place, value in flat(settings)
        if {place[0], ".".join(place)} & {*ALWAYS, *needs} and (problem := _problem(value, settings.env)) is not None
    ]
    if "catalogs" in needs and not settings.catalogs:
        problems.append("no catalog is configured: add a [catalogs.NAME] table to the settings file")
    if problems:
        raise SettingsError("; ".join(problems))


def flat(section: Section, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every setting with its place."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        for key, item in value.items() if isinstance(value, dict) else [("", value)]:
            place = (*before, name, key) if key else (*before, name)
            if isinstance(item, Section):
                yield from flat(item, place)
            else:
                yield place, item


def secrets(settings: Settings) -> list[Secret]:
    """Every secret of the settings."""
    return [value for _, value in flat(settings) if isinstance(value, Secret)]


def _problem(value: object, env: str) -> str | None:
    if isinstance(value, Secret):
        try:
            text = value.reveal()
        except Unavailable as error:
            return f"cannot be used: {error}"
    elif isinstance(value, str):
        text = value
    else:
        return None
    if text.startswith(PLACEHOLDER):
        return f"still holds a value that begins with {PLACEHOLDER}: put yours there"
    if isinstance(value, SecretKey) and value and env != "dev":
        short = [key for key in text.split(",") if len(key.strip().encode()) < SecretKey.BYTES_MIN]
        if short:
            return f"is a key of fewer than {SecretKey.BYTES_MIN} bytes: make one with 'openssl rand -hex 32'"
    return None


def _named(place: tuple[str, ...]) -> str:
    """How an operator says the setting, twin and all."""
    known = {spot: variable for variable, spot in variables().items()}
    variable, twin = known.get(place), known.get((*place[:-1], place[-1] + FILE))
    said = ".".join(place)
    if variable is None:
        return said
    return f"{said} ({variable} or {twin})" if twin else f"{said} ({variable})"
