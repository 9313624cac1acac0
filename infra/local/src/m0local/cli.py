"""`m0 up`, `down`, `status`, `logs` and `clean`: the local stack from the command line."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from m0common.deployment_record import programs, read
from rich.console import Console
from rich.table import Table

from m0local import logs, processes, settings, stack
from m0local.control import STOPPED_STATES
from m0local.errors import LocalStackError, UsageError
from m0local.progress import Lasting, reporter
from m0local.status import Status
from m0local.status import status as stack_status

app = typer.Typer(pretty_exceptions_enable=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


@contextmanager
def plain_errors() -> Iterator[None]:
    """What the stack has to say about a failure, as it stands and without a trace."""
    try:
        yield
    except UsageError as exc:
        typer.echo(f"Error: {exc}", err=True)
        raise typer.Exit(EXIT_USAGE) from exc
    except LocalStackError as exc:
        typer.echo(f"Error: {exc}", err=True)
        raise typer.Exit(EXIT_FAILED) from exc
    except KeyboardInterrupt as exc:
        typer.echo("Interrupted: run the same command again to go on.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from exc


@app.command()
def up(
    only: Annotated[
        str, typer.Option(help="Start these alone, with commas between, such as kafka,postgres.", envvar="M0_UP_ONLY")
    ] = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for servers, then for services.")] = (
        stack.READY_TIMEOUT_S
    ),
    as_json: Json = False,
) -> None:
    """Start everything, wait until it is ready and print the addresses. Starting what runs already is no error."""
    with plain_errors():
        settings.check_external(os.environ)
        env = settings.load(os.environ)
        with reporter(Lasting(), quiet=as_json) as report:
            started = stack.up(env, processes.select(only), report, timeout)
        state = stack_status(env)
        if as_json:
            print(json.dumps(state))
            return
        console = Lasting()
        if not started:
            console.print("Already running.")
            console.print(_table(state))
        _print_addresses(console, env, state)


@app.command()
def down(as_json: Json = False) -> None:
    """Stop everything, services before servers. Data stays."""
    with plain_errors():
        with reporter(Lasting(), quiet=as_json) as report:
            stopped = stack.down(settings.load(os.environ), report)
        print(json.dumps({"stopped": stopped}) if as_json else "Stopped." if stopped else "Nothing was running.")


@app.command()
def status(as_json: Json = False) -> None:
    """What runs, is it ready, how often was it restarted, where is it reached."""
    with plain_errors():
        env = settings.load(os.environ)
        state = stack_status(env)
        if as_json:
            print(json.dumps(state))
            return
        console = Lasting()
        console.print(_table(state))
        _print_addresses(console, env, state)
        if stack.runs_otherwise(env):
            print(
                "The stack was started with other settings: set what it was given, as M0_PORT_OFFSET.", file=sys.stderr
            )


@app.command(name="logs")
def show_logs(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A server or service, as named by 'm0 status'.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as new lines come.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="How many of the last lines.")] = 100,
    as_json: Json = False,
) -> None:
    """The last lines of a service's log; -f follows it."""
    with plain_errors():
        env = settings.load(os.environ)
        (name,) = processes.select(service) if service and "," not in service else (None,)
        if name is None:
            raise UsageError("Name one service, such as 'm0 logs ingest'.")
        path = env.logs / f"{name}.log"
        last = logs.tail(path, lines)
        if as_json:
            print(json.dumps({"service": name, "lines": last}))
            return
        if not last and not path.exists():
            typer.echo(f"{name} has written no log yet in {path}.", err=True)
        for line in last:
            print(line)
        if follow:
            for line in logs.follow(path):
                print(line, flush=True)


@app.command()
def clean(
    everything: Annotated[bool, typer.Option("--all", help="Drop the downloads too.")] = False,
    as_json: Json = False,
) -> None:
    """Stop everything and drop its data, keys and logs. Downloads stay, so the next start is quick."""
    with plain_errors():
        env = settings.load(os.environ)
        with reporter(Lasting(), quiet=as_json) as report:
            stack.clean(env, report, everything)
        print(json.dumps({"removed": str(env.home)}) if as_json else f"Removed the data in {env.home}.")


def _table(state: Status) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("service", "state", "ready", "pid", "port", "restarts"):
        table.add_column(column, justify="right" if column in ("pid", "port", "restarts") else "left")
    for service in state["services"]:
        ready = "[green]yes[/green]" if service["ready"] else "[red]no[/red]"
        pid = str(service["pid"] or "-")
        table.add_row(service["name"], service["state"], ready, pid, str(service["port"]), str(service["restarts"]))
    return table


def _print_addresses(console: Console, env: settings.StackSettings, state: Status) -> None:
    """Where each thing is reached that runs, or may: with `--only` not all of them were asked for."""
    named = {
        "api": ("API", "api"),
        "docs": ("API docs", "api"),
        "websocket": ("WebSocket", "realtime"),
        "rpc": ("Solana RPC", "localnet"),
        "rpc_ws": ("Solana PubSub", "localnet"),
        "kafka": ("Kafka", "kafka"),
        "postgres": ("Postgres", "postgres"),
        "valkey": ("Valkey", "valkey"),
    }
    stopped = {entry["name"] for entry in state["services"] if entry["state"] in STOPPED_STATES}
    lines = {named[name][0]: url for name, url in state["urls"].items() if named[name][1] not in stopped}
    if "localnet" not in stopped:
        lines |= {f"Program {name}": key for name, key in programs(read(env.deployment_file)).items()}
    console.print()
    for title, value in lines.items():
        console.print(f"{title:<18} {value}", highlight=False, soft_wrap=True, markup=False)
