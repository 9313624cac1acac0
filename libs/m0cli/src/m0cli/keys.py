"""`m0 keys`: what of a deployment is secret, made where it is missing."""

import json
from pathlib import Path
from typing import Annotated

import typer

from m0cli.failing import one_sentence

app = typer.Typer(no_args_is_help=True, help="Keys and passwords of a new deployment.")

Folder = Annotated[
    Path,
    typer.Option("--dir", help="The deployment's folder: keys are in keys/ below it, the control key in control/."),
]


@app.callback()
def keys() -> None:
    """Keys and passwords of a new deployment."""


@app.command()
def init(
    folder: Folder,
    signers: Annotated[int, typer.Option(min=1, max=16, help="How many signers the deployment has.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Make every key and password that is missing, readable by their owner alone; what is there is never written over.

    The control key says what the lanes run: take control/ away from the machines of the services.
    """
    from m0deploy import keys as files  # noqa: PLC0415 - help needs no library of the chain
    from m0deploy.site import Site  # noqa: PLC0415

    with one_sentence("keys init", as_json):
        made = files.init(Site.of(folder, folder), signers)
    if as_json:
        print(json.dumps({"made": [{"file": str(item.path), "holder": item.holder} for item in made]}))
        return
    for item in made:
        print(f"{item.path}: made, for {item.holder}")
    if not made:
        print(f"Nothing is missing in {folder}.")
