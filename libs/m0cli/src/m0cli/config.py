"""`m0 config`: every setting that a command is told, with what decided it; whether files can be used; how two differ.

Secrets are not shown.
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from m0common.errors import SettingsError
from m0common.section import FILE
from m0common.settings import load, read_file, settings_path, variables

from m0cli.failing import EXIT_FAILED, one_sentence
from m0cli.programs_place import registered
from m0cli.stack_settings import recorded, told

app = typer.Typer(no_args_is_help=True, help="Every setting with its value and where it comes from.")


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@app.callback()
def config() -> None:
    """Settings of this deployment."""


@app.command()
def show(as_json: Json = False) -> None:
    """Print every setting with its value and what decided it: environment, stack, file, record or default.

    Exit 1 when they name another program than the registry of programs does.
    """
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
    for key, row in () if as_json else rows.items():
        where = f"{row['source']} {row['variable']}" if row["variable"] else row["source"]
        print(f"{key} = {json.dumps(row['value'])}  # {where}")
    with one_sentence("config", as_json=False):
        if faults := registered().differing_settings(settings):
            raise SettingsError(*faults)


@app.command()
def validate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Settings files, such as config/prod.toml.")],
    as_json: Json = False,
) -> None:
    """Check settings files with the files of their catalogs, and name every fault; exit 1 when there is any.

    Neither environment nor servers are asked. Of a catalog's files what goes into the log is checked, against the
    domains that are installed here; the table of its connector is checked by ingest when it starts.
    """
    from m0cli.config_check import check  # noqa: PLC0415 - imports every domain

    with one_sentence("config validate", as_json):
        registry = registered()
        found = {str(file): check(file, registry) for file in files}
    if as_json:
        rows = [{"file": file, "faults": each.faults, "to_fill_in": each.to_fill_in} for file, each in found.items()]
        print(json.dumps({"ok": not any(each.faults for each in found.values()), "files": rows}))
    for file, each in () if as_json else found.items():
        for fault in each.faults:
            print(fault, file=sys.stderr)
        if not each.faults:
            rest = f"; to be filled in: {', '.join(each.to_fill_in)}" if each.to_fill_in else ""
            print(f"{file}: can be used{rest}")
    if any(each.faults for each in found.values()):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A settings file, or the address of an API.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    as_json: Json = False,
) -> None:
    """Compare two settings files, defaults included; exit 0 when they say the same, 1 when not.

    Of a running deployment what its API publishes (/v1/info) is compared: cluster, public addresses, programs.
    """
    from m0cli.config_diff import differences  # noqa: PLC0415 - imports the SDK

    with one_sentence("config diff", as_json):
        found = differences(before, after)
    if as_json:
        print(json.dumps({"equal": not found, "differences": [each._asdict() for each in found]}))
    for each in () if as_json else found:
        print(f"{each.setting}: {json.dumps(each.before)} → {json.dumps(each.after)}{each.note}")
    if found:
        raise typer.Exit(EXIT_FAILED)
    if not as_json:
        print("They say the same.")


def flat(table: dict[str, Any], before: str = "") -> dict[str, Any]:
    """A nested table as dotted keys."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = list(value) if isinstance(value, tuple) else value
    return found
