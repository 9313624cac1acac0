"""The `m0` command: a thin group over the table of sub-commands, each imported only when it is called, so help stays
fast.

To add one: write a module with a typer app `app` whose command or group does the work, and name it in `m0cli.registry`,
or in a package of its own by an entry point.
"""

import importlib
import os
import sys
from importlib import metadata
from typing import Annotated, Any

import typer
from m0common.proxies import direct
from typer.core import TyperCommand, TyperGroup

from m0cli.registry import Command, RegistryError, commands, missing

COMPLETION = ("install_completion", "show_completion")
"""Options typer adds to whatever it takes for a whole program."""
EXIT_USAGE = 2


class LazyGroup(TyperGroup):
    """A group that lists its commands from the table and imports one only to run it."""

    def __init__(self, **attrs: Any) -> None:  # typer's own arguments, passed through
        super().__init__(**attrs)
        self.table = commands()
        self.commands = {
            name: TyperCommand(name, help=command.help, rich_help_panel=command.panel)
            for name, command in self.table.items()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # typer keeps its context type private
        if args and args[0] not in self.table and (sentence := missing(args[0])):
            typer.echo(f"Error: {sentence}.", err=True)
            raise typer.Exit(EXIT_USAGE)
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name, self.table[name]) if name else command, rest


def load(name: str, command: Command) -> Any:  # typer keeps its command type private
    """Import the module of the sub-command `name` and return the command itself."""
    os.environ.update(direct(os.environ))
    found: Any = typer.main.get_command(importlib.import_module(command.module).app)
    found.params = [option for option in found.params if option.name not in COMPLETION]
    return getattr(found, "commands", {}).get(name, found)


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"m0 {metadata.version('m0cli')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """M0Club: calibrated probabilities of real-world events, finalized on Solana, provable by anyone."""
    del version  # its callback ends the command
    from m0common.telemetry.logs import print_logs  # noqa: PLC0415 - help needs no log

    print_logs()


def main() -> None:
    try:
        app()
    except RegistryError as error:
        sys.exit(f"Error: {error}.")


if __name__ == "__main__":
    main()
