"""Which deployment the commands of integrators talk to: options, then the environment, then the local stack."""

import os
from dataclasses import dataclass
from typing import Annotated

import typer
from m0local import deployment
from m0local import settings as local
from m0local.errors import UsageError

Api = Annotated[str | None, typer.Option("--api", help="The API's address (default: M0_API_BASE, else the stack's).")]
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
    str | None, typer.Option("--stream", help="The realtime server (default: beside the API, port 8090, /ws).")
]


@dataclass(frozen=True, slots=True)
class Target:
    """Addresses; None leaves the choice to the client: what the API or the proof says."""

    api: str
    rpc: str | None
    program: str | None
    stream: str | None


def resolve(api: str | None, rpc: str | None, program: str | None, stream: str | None = None) -> Target:
    """What to talk to. Another deployment than the local stack inherits nothing of the stack."""
    named = api or os.environ.get("M0_API_BASE")
    rpc = rpc or os.environ.get("M0_RPC_URL")
    program = program or os.environ.get("M0_ORACLE_PROGRAM_ID")
    try:
        stack = local.load(os.environ)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error
    if named is not None and named.rstrip("/") != stack.api_url:
        return Target(named, rpc, program, stream)
    return Target(
        stack.api_url,
        rpc or stack.rpc_url,
        program or deployment.programs(stack.deployment_file).get("oracle"),
        stream or stack.realtime_url,
    )
