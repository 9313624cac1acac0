"""Which deployment the commands of integrators talk to: options, then the environment, then an installed stack's."""

import os
from dataclasses import dataclass
from typing import Annotated

import typer
from m0common.errors import SettingsError
from m0common.settings import Settings

from m0cli.stack_settings import of_stack, recorded

Api = Annotated[
    str | None, typer.Option("--api", help="The API's address (default: M0_API_BASE, else on this machine).")
]
Rpc = Annotated[
    str | None,
    typer.Option("--rpc", help="A Solana node you trust (default: M0_RPC_URL, else the stack's or the API's)."),
]
Program = Annotated[
    str | None,
    typer.Option(
        "--program",
        help="The oracle program you trust (default: M0_ORACLE_PROGRAM_ID, else the stack's or the proof's).",
    ),
]
Stream = Annotated[
    str | None,
    typer.Option("--stream", help="The realtime server (default: M0_STREAM_URL, else beside the API, port 8090, /ws)."),
]


@dataclass(frozen=True, slots=True)
class Target:
    """Addresses; None leaves the choice to the client: what the API or the proof says."""

    api: str
    rpc: str | None
    program: str | None
    stream: str | None


def reached(api: str | None) -> tuple[str, dict[str, str]]:
    """The API's address, by option, environment or stack, and the variables of the stack where it is the stack's:
    another deployment than the local stack inherits nothing of the stack. Raises SettingsError.
    """
    stack = of_stack()
    here = stack.get("M0_API_BASE") or Settings().api_base
    named = (api or os.environ.get("M0_API_BASE") or here).rstrip("/")
    return named, stack if named == here else {}


def resolve(api: str | None, rpc: str | None, program: str | None, stream: str | None = None) -> Target:
    """What to talk to."""
    try:
        named, stack = reached(api)
        known = recorded(stack | dict(os.environ)).get("oracle_program_id")
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error

    def first(option: str | None, variable: str) -> str | None:
        return option or os.environ.get(variable) or stack.get(variable)

    return Target(
        named,
        first(rpc, "M0_RPC_URL"),
        first(program, "M0_ORACLE_PROGRAM_ID") or known,
        first(stream, "M0_STREAM_URL"),
    )
