"""`m0 domain`: what the heart expects of a domain, checked before it runs."""

import json
from functools import partial
from typing import Annotated

import typer
from m0lanes.release import release_of
from m0replay.domain_check import examine, installed
from m0replay.shown import short

app = typer.Typer(no_args_is_help=True, help="Domains: what is installed, and whether the heart can run it.")

EXIT_FAILED = 1


@app.callback()
def domain() -> None:
    """Domains: what is installed, and whether the heart can run it."""


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Domains by name; all when none is given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Files, imports, types and models of installed domains, and a play of events in which they are restarted behind
    each; a line for each fault, exit code 1 if there is one. What it is at is said on standard error.
    """
    known = installed()
    for name in names or ():
        if name not in known:
            raise typer.BadParameter(f"no domain {name!r} is installed: there is {', '.join(known) or 'none'}")
    examined = {name: examine(name, known[name], partial(_tell, name)) for name in names or known}
    # one that has faults may have no release
    clear = {name: domain for name, (domain, faults) in examined.items() if domain is not None and not faults}
    release = {name: release_of(domain).hex() for name, domain in clear.items()}
    if as_json:
        rows = [{"domain": n, "release": release.get(n), "findings": each.findings} for n, each in examined.items()]
        typer.echo(json.dumps({"domains": rows}))
    else:
        for name, each in examined.items():
            for fault in each.findings:
                typer.echo(f"{name}: {fault}")
            if name in clear:
                typer.echo(f"{name} {clear[name].version}: all clear, release {short(release[name])}")
    if any(each.findings for each in examined.values()):
        raise typer.Exit(EXIT_FAILED)


def _tell(name: str, what: str) -> None:
    typer.echo(f"{name}: {what} ...", err=True)
