"""`m0 domain`: what the heart expects of a domain, checked before it runs."""

import json
from functools import partial
from typing import Annotated

import typer
from m0common.errors import SettingsError
from m0lanes.release import release_of
from m0replay.domain_check import findings, installed
from m0replay.shown import short

app = typer.Typer(no_args_is_help=True, help="Domains: what is installed, and whether the heart can run it.")

EXIT_FAILED = 1


@app.callback()
def domain() -> None:
    """Domains: what is installed, and whether the heart can run it."""


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Domains by name; all when none is given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Files, imports, types and models of installed domains, and a play of events in which they are restarted behind
    each; a line for each fault, exit code 1 if there is one. What it is at is said on standard error.
    """
    try:
        known = installed()
    except SettingsError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from error
    for name in names or ():
        if name not in known:
            raise typer.BadParameter(f"no domain {name!r} is installed: there is {', '.join(known) or 'none'}")
    found = {name: findings(name, known[name], partial(_tell, name)) for name in names or known}
    # a domain whose files are not there has no release
    release = {name: release_of(known[name]).hex() for name, faults in found.items() if not faults}
    if as_json:
        rows = [{"domain": n, "release": release.get(n), "findings": faults} for n, faults in found.items()]
        typer.echo(json.dumps({"domains": rows}))
    else:
        for name, faults in found.items():
            for fault in faults:
                typer.echo(f"{name}: {fault}")
            if not faults:
                typer.echo(f"{name} {known[name].version}: all clear, release {short(release[name])}")
    if any(found.values()):
        raise typer.Exit(EXIT_FAILED)


def _tell(name: str, what: str) -> None:
    typer.echo(f"{name}: {what} ...", err=True)
