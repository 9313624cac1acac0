"""`m0 keys`: what of a deployment is secret, made where it is missing."""

import json
from pathlib import Path
from typing import Annotated

import typer

from m0cli.arguments import check_name, folder_named
from m0cli.failing import one_sentence

app = typer.Typer(no_args_is_help=True, help="Keys and passwords of a new deployment.")

Folder = Annotated[
    Path,
    typer.Option(
        "--dir",
        parser=folder_named,
        metavar="FOLDER",
        help="The deployment's folder: keys are in keys/ below it, the control key in control/.",
    ),
]

Signers = Annotated[int, typer.Option(min=1, max=16, help="How many signers the deployment has.")]
Prefix = Annotated[str, typer.Option(help="What the names of Secrets begin with.")]
PREFIX = "m0club"


@app.callback()
def keys() -> None:
    """Keys and passwords of a new deployment."""


@app.command()
def init(
    folder: Folder,
    signers: Signers = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    kubernetes: Annotated[
        bool, typer.Option(help="Print all of them as Secrets, one for each holder, for `kubectl apply -f -`.")
    ] = False,
    prefix: Prefix = PREFIX,
) -> None:
    """Make every key and password that is missing, readable by their owner alone; what is there is never written over.

    The control key says what the lanes run: take control/ away from the machines of the services.
    """
    check_name(prefix, "--prefix")
    from m0deploy import keys as files  # noqa: PLC0415 - help needs no library of the chain
    from m0deploy.shares import manifests  # noqa: PLC0415
    from m0deploy.site import Site  # noqa: PLC0415

    with one_sentence("keys init", as_json):
        site = Site.of(folder, folder)
        made = files.init(site, signers)
        if kubernetes:
            print(json.dumps(manifests(site, signers, prefix), indent=2))
            return
    if as_json:
        print(json.dumps({"made": [{"file": str(item.path), "holder": item.holder} for item in made]}))
        return
    for item in made:
        print(f"{item.path}: made, for {item.holder}")
    if not made:
        print(f"Nothing is missing in {folder}.")


@app.command()
def secrets(
    signers: Signers = 3,
    prefix: Prefix = PREFIX,
    namespace: Annotated[str | None, typer.Option(help="Not the one that this pod, or KUBECONFIG, is in.")] = None,
    shared: Annotated[str, typer.Option(help="The Secret of addresses that services share.")] = "m0club-secrets",
    database: Annotated[str | None, typer.Option(help="host:port of Postgres: its address goes there.")] = None,
    redis_url: Annotated[str | None, typer.Option(help="The address of Redis goes there.")] = None,
) -> None:
    """Make what is missing as Secrets of a Kubernetes namespace, from within it; what is there is never written over.

    For clusters that are tried out. Else keys are made where only their operator is, by `m0 keys init`.
    """
    check_name(prefix, "--prefix")
    check_name(shared, "--shared")
    import tempfile  # noqa: PLC0415

    from m0deploy import cluster, shares  # noqa: PLC0415
    from m0deploy.site import Site  # noqa: PLC0415

    with one_sentence("keys secrets", as_json=False), tempfile.TemporaryDirectory() as folder:
        site, there = Site.of(Path(folder), Path(folder)), cluster.Cluster.reached(namespace)
        made = cluster.init(there, site, signers, prefix)
        told = {"M0_PG_DSN": shares.database_address(site, database)} if database else {}
        told |= {"M0_REDIS_URL": redis_url} if redis_url else {}
        if told:
            made += [f"{shared}/{key}" for key in there.add(shared, told)]
        for each in made:
            print(f"{each}: made")
        if not made:
            print("Nothing is missing.")
