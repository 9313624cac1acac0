"""Asking before something is done that cannot be undone."""

import sys

import typer


def agreed(question: str, *, yes: bool, as_json: bool) -> None:
    """Ask, unless --yes was said, and end the command where the answer is no.

    Raises BadParameter where nobody can be asked.
    """
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise typer.BadParameter("nothing is done without --yes where nobody can be asked")
    typer.confirm(question, abort=True)
