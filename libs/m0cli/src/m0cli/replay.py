"""`m0 replay CATALOG EPOCH`: rebuild an epoch's root from the log and compare it with the one on chain."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Annotated

import typer
from m0archive.store import Store
from m0common.canonical import ZERO
from m0common.settings import Settings
from m0common.stream.broker import Broker
from m0replay.following import NewLife
from m0replay.irreplayable import Irreplayable
from m0replay.mutate import MUTATIONS, Damaged
from m0replay.replay import Verdict, replay_epoch
from m0replay.states import STAGES

from m0cli.archived import log_with, on_archive
from m0cli.arguments import EPOCH_MAX
from m0cli.failing import EXIT_FAILED, Exits
from m0cli.on_broker import on_broker

app = typer.Typer()
NO_VERDICT: Mapping[str, object] = MappingProxyType({"match": None})
EXIT_IRREPLAYABLE = 3
ENDINGS: Exits = MappingProxyType({Irreplayable: EXIT_IRREPLAYABLE})
"""An epoch that cannot be replayed neither matches nor differs."""


@app.command()
def replay(
    catalog: Annotated[str, typer.Argument(metavar="CATALOG", help="The catalog, for example sports.")],
    epoch: Annotated[int, typer.Argument(metavar="EPOCH", help="A finalized epoch of it.", min=0, max=EPOCH_MAX)],
    full: Annotated[bool, typer.Option("--full", help="From the beginning of the log, not from a checkpoint.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    archive: Annotated[
        str | None,
        typer.Option(
            "--archive",
            metavar="URL",
            help="Read the archive there, file:///FOLDER or s3://BUCKET/PREFIX, and no Kafka.",
        ),
    ] = None,
    mutate: Annotated[
        str | None,
        typer.Option(help="Damage one observation before replaying, to see it noticed: change, drop, add or swap."),
    ] = None,
    index: Annotated[
        int, typer.Option(help="Which observation of the epoch to damage: from 0, counted around.", min=0)
    ] = 0,
) -> None:
    """Print MATCH and exit 0, or print the first lane, stage or leaf that differs, or what went wrong, and exit 1; exit
    3 where what a replay needs is gone from the log, or not installed. With --json `match` is false for a difference
    alone, null where there is no verdict.
    """
    if mutate is not None and mutate not in MUTATIONS:
        raise typer.BadParameter(f"--mutate {mutate}: one of {', '.join(MUTATIONS)}")

    async def work(broker: Broker, settings: Settings) -> Verdict:
        from m0chain.final import finalized_root  # noqa: PLC0415
        from m0common.deployment import Deployment  # noqa: PLC0415
        from m0lanes.stages import Heart  # noqa: PLC0415

        heart, final = Heart.installed(Deployment.of(settings)), finalized_root(settings)
        return await replay_epoch(
            broker,
            heart,
            final,
            catalog,
            epoch,
            full=full,
            mutation=mutate,
            index=index,
            api_base=settings.api_base,
            lanes_kept=archive is None,
        )

    async def from_archive(store: Store, settings: Settings) -> Verdict:
        from m0common.deployment import Deployment  # noqa: PLC0415

        return await work(await log_with(store, Deployment.of(settings), catalog, epoch), settings)

    if archive is None:
        verdict = on_broker("replay", work, as_json, NO_VERDICT, ENDINGS)
    else:
        verdict = on_archive("replay", archive, from_archive, as_json, NO_VERDICT, ENDINGS)
    print(verdict_json(verdict) if as_json else verdict_text(verdict))
    raise typer.Exit(0 if verdict.match else EXIT_FAILED)


def verdict_json(verdict: Verdict) -> str:
    """What `--json` prints."""
    return json.dumps(
        {
            "match": verdict.match,
            "catalog": verdict.catalog,
            "epoch_id": verdict.epoch_id,
            "merkle_root": verdict.merkle_root.hex(),
            "bundle_hash": verdict.bundle_hash.hex(),
            "started_from": verdict.started_from,
            "events": verdict.events,
            "leaves": verdict.leaves,
            "difference": verdict.difference,
            "lives": [
                {
                    "partition": begun.lane.partition,
                    "life": begun.life,
                    "epoch_id": begun.epoch_id,
                    "roots": [root.hex() for root in begun.roots],
                }
                for begun in verdict.lives
            ],
            "damaged": None if verdict.damaged is None else asdict(verdict.damaged),
        }
    )


def verdict_text(verdict: Verdict) -> str:
    """One line, one for what was damaged on purpose, and one for each lane whose life began on the way."""
    what = f"{verdict.catalog} epoch {verdict.epoch_id}"
    how = f"{verdict.events} raw events from {verdict.started_from}"
    if verdict.match:
        said = f"MATCH {what} root {verdict.merkle_root.hex()} ({verdict.leaves} leaves, {how})"
    else:
        said = f"DIFFERS {what}: {verdict.difference} ({how})"
    damaged = [] if verdict.damaged is None else [_damaged(verdict.damaged)]
    return "\n".join([said, *damaged, *(_begun(begun) for begun in verdict.lives)])


def _damaged(done: Damaged) -> str:
    where = f"raw offset {' and '.join(map(str, done.offsets))} in partition {done.partition}"
    return f"damaged observation {done.index + 1} of {done.count} (--index {done.index}): {where}"


def _begun(begun: NewLife) -> str:
    lane = f"life {begun.life} of lane {begun.lane.catalog}/{begun.lane.partition}"
    if set(begun.roots) == {ZERO}:
        return f"{lane} began anew, without a state"
    roots = ", ".join(f"{stage} {root.hex()}" for stage, root in zip(STAGES.values(), begun.roots, strict=True))
    return f"{lane} began from epoch {begun.epoch_id}, roots {roots}"
