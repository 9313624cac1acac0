"""`m0 config show`: every setting that a command is told, with what decided it. Secrets are not shown."""

import json
import os
import sys
from typing import Annotated, Any

import typer
from m0common.errors import SettingsError
from m0common.section import FILE
from m0common.settings import load, read_file, settings_path, variables

from m0cli.stack_settings import recorded, told

app = typer.Typer(no_args_is_help=True, help="Every setting with its value and where it comes from.")


@app.callback()
def config() -> None:
    """Settings of this deployment."""


@app.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
    """Print every setting with its value and what decided it: environment, stack, file, record or default."""
    try:
        environment = told()
        settings = load(environment)
        written = flat(read_file(settings_path(environment)))
        noted = {f"deployment.{key}": value for key, value in recorded(environment).items()}
    except SettingsError as error:
        print(f"m0 config: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    deciding = {".".join(place): name for name, place in variables().items() if environment.get(name)}
    rows: dict[str, dict[str, Any]] = {}  # values are of every type that TOML has
    for key, value in flat(settings.model_dump(mode="json")).items():
        name = deciding.get(key) or deciding.get(key + FILE)
        said = "file" if {key, key + FILE} & written.keys() else "default"
        said = "record" if noted.get(key, written.get(key)) == value != written.get(key) else said
        source = ("environment" if name in os.environ else "stack") if name else said
        rows[key] = {"value": value, "source": source, "variable": name}
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for key, row in rows.items():
        where = f"{row['source']} {row['variable']}" if row["variable"] else row["source"]
        print(f"{key} = {json.dumps(row['value'])}  # {where}")


def flat(table: dict[str, Any], before: str = "") -> dict[str, Any]:
    """A nested table as dotted keys."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = list(value) if isinstance(value, tuple) else value
    return found
