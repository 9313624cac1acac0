"""The `m0` command: a thin registry. A sub-command's module is imported only when it is called, so help stays fast.

To add one: write a module with a typer app `app` whose command or group does the work, and name it in COMMANDS.
"""

import importlib
import importlib.util
import os
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Command:
    """Where a sub-command lives: `app` of `module` has a command `name` or is itself the command."""

    module: str
    help: str
    panel: str


STACK = "The local stack"
CATALOGS = "Catalogs and lanes"
KAFKA = "Kafka"
USE = "Predictions and proofs"

COMMANDS: dict[str, Command] = {
    "up": Command("m0cli.stack", "Start everything and wait until it is ready.", STACK),
    "down": Command("m0cli.stack", "Stop everything; data stays.", STACK),
    "status": Command("m0cli.stack", "What runs, is it ready, where is it reached.", STACK),
    "logs": Command("m0cli.stack", "The last lines of a service's log; -f follows it.", STACK),
    "clean": Command("m0cli.stack", "Stop everything and drop its data.", STACK),
    "config": Command("m0cli.config", "Every setting with its value and where it comes from.", STACK),
    "catalog": Command("m0cli.catalog", "Catalogs: list, plan, set and retire them.", CATALOGS),
    "control-key": Command("m0cli.control_key", "The key that signs changes: hand it on to a new one.", CATALOGS),
    "lane": Command("m0cli.lane", "Lanes of every stage, and new lives for them.", CATALOGS),
    "domain": Command("m0cli.domain", "Check a domain before it runs.", CATALOGS),
    "topics": Command("m0cli.topics", "Topics, users and rights: plan, apply and check them.", KAFKA),
    "kafka": Command("m0cli.kafka", "What any Kafka client needs to connect.", KAFKA),
    "verify": Command("m0cli.verify", "Check a prediction's proof against the chain.", USE),
    "watch": Command("m0cli.watch", "Finalized predictions live, each verified.", USE),
    "replay": Command("m0cli.replay", "Rebuild an epoch's root from the Kafka log.", USE),
}

COMPLETION = ("install_completion", "show_completion")
"""Options typer adds to whatever it takes for a whole program."""


class LazyGroup(TyperGroup):
    """A group that lists its commands from the table and imports one only to run it."""

    def __init__(self, **attrs: Any) -> None:  # typer's own arguments, passed through
        super().__init__(**attrs)
        self.commands = {
            name: TyperCommand(name, help=command.help, rich_help_panel=command.panel)
            for name, command in COMMANDS.items()
            if importlib.util.find_spec(command.module)
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # typer keeps its context type private
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else command, rest


def load(name: str) -> Any:  # typer keeps its command type private
    """Import the module of the sub-command `name` and return the command itself."""
    if importlib.util.find_spec("m0local"):
        os.environ.update(importlib.import_module("m0local.proxies").direct(os.environ))
    command: Any = typer.main.get_command(importlib.import_module(COMMANDS[name].module).app)
    command.params = [option for option in command.params if option.name not in COMPLETION]
    return getattr(command, "commands", {}).get(name, command)


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def root() -> None:
    """M0Club: calibrated probabilities of real-world events, finalized on Solana, provable by anyone."""
    from m0common.telemetry.logs import print_logs  # noqa: PLC0415 - help needs no log

    print_logs()


def main() -> None:
    app()


if __name__ == "__main__":
    main()
