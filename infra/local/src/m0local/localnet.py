"""`m0 localnet`: the chain of the stack by itself, without the rest of it."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from m0local import settings
from m0local.cli import plain_errors
from m0local.ports import LOOPBACK

app = typer.Typer(pretty_exceptions_enable=False)
LEDGER = "localnet-alone"
"""Beside the ledger of the stack, which its own node holds."""


@app.command()
def localnet(
    ledger: Annotated[
        Path | None, typer.Option(help=f"The folder that keeps the chain; {LEDGER} below the stack's home otherwise.")
    ] = None,
    rpc_port: Annotated[int | None, typer.Option(help="JSON-RPC; 8899 and M0_PORT_OFFSET otherwise.")] = None,
    ws_port: Annotated[int | None, typer.Option(help="PubSub; 8900 and M0_PORT_OFFSET otherwise.")] = None,
    slot_ms: Annotated[int, typer.Option(help="Length of a slot in milliseconds.")] = 400,
) -> None:
    """Run a Solana chain until it is stopped: a real virtual machine behind JSON-RPC and PubSub, for programs alone.

    `make up` starts one of its own. `m0 programs deploy localnet` deploys to whichever listens at that port.
    """
    with plain_errors():
        stack = settings.load(os.environ)
    folder = ledger or stack.home / LEDGER
    rpc, ws = rpc_port or stack.port("localnet"), ws_port or stack.port("localnet-ws")
    command = [
        sys.executable,
        "-m",
        "m0localnet",
        "--ledger",
        str(folder),
        "--bind",
        LOOPBACK,
        "--slot-ms",
        str(slot_ms),
    ]
    os.execv(sys.executable, [*command, "--rpc-port", str(rpc), "--ws-port", str(ws)])  # noqa: S606 - no shell
