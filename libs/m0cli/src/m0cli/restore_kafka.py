"""`m0 backup restore kafka`: the log that Kafka has lost, written anew from its archive."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from m0archive.store import Store
from m0common.deployment import Deployment
from m0common.settings import Settings

from m0cli.archived import Archive, on_archive
from m0cli.asking import agreed

if TYPE_CHECKING:
    from m0deploy.restore_log import RestoredLog

VARIABLE = "M0_KAFKA_RESTORED_ENDS"


class Done(NamedTuple):
    """What was restored; `catalogs` whose lanes are to be rebased, and whether it was noted in `record`."""

    log: "RestoredLog"
    catalogs: list[str]
    record: Path | None
    noted: bool


def restore_kafka(
    archive: Archive = None,
    cluster: Annotated[
        str | None, typer.Option("--log", help="Whose log, as `m0 backup list` names them; the newest when not given.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Write the archived log into an empty Kafka, every record at the offset it had, as an administrator of the
    cluster. Services are stopped; the topics are those of `m0 topics apply`. Run again it goes on.
    """
    agreed("Write the archived log into the Kafka that M0_KAFKA_BOOTSTRAP names?", yes=yes, as_json=as_json)

    async def work(store: Store, settings: Settings) -> Done:
        from m0common.clock import system_clock  # noqa: PLC0415 - help needs no Kafka
        from m0deploy.rehearsal import newest_epochs_of  # noqa: PLC0415
        from m0deploy.restore_log import choose, note, restore  # noqa: PLC0415

        deployment = Deployment.of(settings)
        says = (lambda _: None) if as_json else _said
        done = await restore(store, deployment, settings.kafka, system_clock(settings.env), cluster, says)
        epochs = await newest_epochs_of(await choose(store, deployment, done.cluster))
        record = Path(settings.deployment_file) if settings.deployment_file else None
        return Done(done, sorted(epochs), record, record is not None and note(record, done.restored_ends))

    done = on_archive("backup restore kafka", archive, work, as_json)
    print(json.dumps(done_json(done)) if as_json else done_lines(done))


def _said(what: str) -> None:
    print(what, flush=True)


def done_lines(done: Done) -> str:
    """What was done, and the commands by which lanes go on."""
    from m0cli.backup import when  # noqa: PLC0415 - it has this command

    log, took_s = done.log, done.log.took_ms / 1000
    noted = f"noted in {done.record}, where services read it" if done.noted else "tell it to every service and command"
    return "\n".join(
        [
            f"log of cluster {log.cluster} up to {when(log.upto_ms)}: {log.records} records in {took_s:.1f} s",
            f"{VARIABLE}={_ends(done)}",
            f"  {noted}: below these offsets m0.raw bears the times it had",
            "Now start the services, then run:",
            *(f"  m0 lane rebase {catalog} --yes" for catalog in done.catalogs),
        ]
    )


def done_json(done: Done) -> dict[str, Any]:  # what JSON has
    """What `--json` prints."""
    log = done.log
    return {
        "cluster": log.cluster,
        "upto_ms": log.upto_ms,
        "records": log.records,
        "took_ms": log.took_ms,
        "restored_ends": _ends(done),
        "noted": done.noted,
        "catalogs": done.catalogs,
    }


def _ends(done: Done) -> str:
    return ",".join(map(str, done.log.restored_ends))
