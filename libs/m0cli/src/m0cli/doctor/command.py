"""`m0 doctor`: look at everything the verification checklist names, in any deployment, and change nothing."""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Annotated

import typer
from m0common.errors import SettingsError
from m0common.telemetry.logs import print_logs

from m0cli import targets
from m0cli.doctor.boxes import BOXES
from m0cli.doctor.run import run
from m0cli.doctor.site import Site, site_of
from m0cli.doctor.verdict import Verdict
from m0cli.failing import EXIT_FAILED, one_sentence

app = typer.Typer(pretty_exceptions_enable=False)

EXIT_USAGE = 2
WAIT_S = 90.0
MARKS = {True: "ok", False: "FAILS", None: "-"}
NAME_WIDTH = max(len(box.name) for box in BOXES)

Checks = list[tuple[str, Verdict]]


@app.command()
def doctor(
    api: targets.Api = None,
    rpc: targets.Rpc = None,
    program: targets.Program = None,
    wait: Annotated[
        float, typer.Option(help="Seconds to watch for rounds that are not there yet, as after a start.", min=0)
    ] = WAIT_S,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Look at each box of the verification checklist, say one line of evidence for it, and exit 1 when one fails.

    Nothing is written anywhere. With the address of the API and of a Solana node alone, boxes that need more say what;
    docs/operations/doctor.md says what each looks at.
    """
    with one_sentence("doctor", as_json, exits={SettingsError: EXIT_USAGE}):
        site = site_of(api, rpc, program, wait)
        _hush()
        checks = asyncio.run(_looked(site, quiet=as_json))
    if as_json:
        print(json.dumps(as_object(checks)))
    else:
        print(summary([verdict for _, verdict in checks]))
    if any(verdict.ok is False for _, verdict in checks):
        raise typer.Exit(EXIT_FAILED)


def _hush() -> None:
    """Clients say of every attempt what comes of it; the evidence says it once."""
    print_logs(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


async def _looked(site: Site, *, quiet: bool) -> Checks:
    checks = []
    async for name, verdict in run(site, BOXES):
        checks.append((name, verdict))
        if not quiet:
            print(f"{MARKS[verdict.ok]:<5} {name:<{NAME_WIDTH}}  {verdict.evidence}", flush=True)
    return checks


def as_object(checks: Checks) -> dict[str, object]:
    """The answer of `m0 doctor --json`."""
    shown = [{"name": name, "ok": verdict.ok, "evidence": verdict.evidence} for name, verdict in checks]
    return {"ok": all(verdict.ok is not False for _, verdict in checks), "checks": shown}


def summary(said: Sequence[Verdict]) -> str:
    """The last line: how many of those that can hold do, and what of the others."""
    held, asked = sum(each.ok is True for each in said), sum(each.ok is not None for each in said)
    to_come = sum(not each.built for each in said)
    elsewhere = len(said) - asked - to_come
    others = [f"{to_come} not built"] if to_come else []
    others += [f"{elsewhere} not applicable"] if elsewhere else []
    return ", ".join([f"{held} of {asked} boxes hold", *others])
