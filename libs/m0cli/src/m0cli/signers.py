"""`m0 signers`: a deployment's signers on Kubernetes."""

import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from m0cli.failing import one_sentence

app = typer.Typer(no_args_is_help=True, help="Signers on Kubernetes: on to a new version, one by one.")

ENDED = 128 + signal.SIGTERM


@app.callback()
def signers() -> None:
    """Signers on Kubernetes: on to a new version, one by one."""


@app.command()
def roll(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="STATEFULSET…", help="Signers by their StatefulSets; all of the namespace without."),
    ] = None,
    within: Annotated[float, typer.Option(min=1, help="Seconds in which each has to be ready.")] = 300.0,
    namespace: Annotated[str | None, typer.Option(help="Not the one that this pod, or KUBECONFIG, is in.")] = None,
) -> None:
    """Bring signers on to the version that was installed, one by one, and stop at the first that does not become ready.

    The chart runs it behind each upgrade and rollback. Run again it goes on. Those that are not ready are first; where
    all are of the newest version nothing is done.
    """
    from m0deploy.cluster import Cluster  # noqa: PLC0415 - help needs no library of the cluster
    from m0deploy.roll import Roll  # noqa: PLC0415

    # who is ended puts back what it has begun
    signal.signal(signal.SIGTERM, _ended)
    with one_sentence("signers roll", as_json=False):
        it = Roll(Cluster.reached(namespace).client, _say, within)
        if not it.run(names or it.found()):
            print("Every signer is of the newest version.")


def _say(sentence: str) -> None:
    print(sentence, flush=True)


def _ended(_number: int, _frame: FrameType | None) -> None:
    sys.exit(ENDED)
