"""`m0 rebuild`: everything off chain made anew from Kafka and the chain alone."""

import asyncio
import json
import sys
from typing import Annotated

import typer

from m0cli.asking import agreed
from m0cli.failing import one_sentence

app = typer.Typer()


@app.command()
def rebuild(
    everything: Annotated[
        bool,
        typer.Option(
            "--everything",
            help="Also outcomes, scores and old leaves, which the log gives back only as far as it goes; `m0 backup "
            "restore postgres` and `bundles` give back the rest.",
        ),
    ] = False,
    timeout_s: Annotated[int, typer.Option("--timeout", help="Seconds to wait for the rows.", min=1)] = 3600,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Empty the index and wait until indexer and jobs, which must run, have filled it again from the log and the chain.
    Chain, log, keys and signers' guards are not touched.
    """
    agreed("Empty the index that M0_PG_DSN names, and have it filled again?", yes=yes, as_json=as_json)
    with one_sentence("rebuild", as_json):
        from m0common.clock import system_clock  # noqa: PLC0415 - help needs no database
        from m0deploy.rebuild import rebuild as rebuilt  # noqa: PLC0415

        from m0cli.stack_settings import stack_settings  # noqa: PLC0415

        settings = stack_settings()

        def says(there: int, of: int) -> None:
            if not as_json:
                print(f"{there} of {of} readers are where they were", file=sys.stderr)

        done = asyncio.run(
            rebuilt(
                settings.postgres,
                system_clock(settings.env),
                everything=everything,
                timeout_s=timeout_s,
                says=says,
            )
        )
    if as_json:
        print(json.dumps({"before": done.before, "after": done.after, "took_ms": done.took_ms}))
        return
    for table, rows in done.after.items():
        print(f"{table}: {done.before[table]} rows before, {rows} now")
    print(f"rebuilt in {done.took_ms / 1000:.1f} s")
