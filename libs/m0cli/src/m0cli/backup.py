"""`m0 backup`: what is kept of a deployment outside its servers, whether it is sound, and how it comes back."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from m0archive.errors import Damaged
from m0archive.store import Store
from m0common.deployment import Deployment
from m0common.settings import Settings

from m0cli.archived import Archive, log_with, on_archive
from m0cli.failing import EXIT_FAILED
from m0cli.restore import restoring

if TYPE_CHECKING:
    from m0archive.backups import Backup, Rehearsal
    from m0archive.incarnation import Incarnation

app = typer.Typer(no_args_is_help=True, help="Backups: make, list, verify, restore and rehearse them.")
app.add_typer(restoring, name="restore")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
UNSOUND: Mapping[str, object] = MappingProxyType({"ok": False})


@dataclass(slots=True)
class Listed:
    """What an archive holds: logs, each from one Kafka cluster, the newest first; backups, the newest rehearsal, and
    what cannot be listed.
    """

    logs: list[dict[str, Any]]  # what JSON has
    backups: list["Backup"]
    rehearsal: "Rehearsal | None"
    faults: list[str]


@app.command()
def create(
    archive: Archive = None,
    full: Annotated[bool, typer.Option("--full", help="All tables, not only what nothing else gives back.")] = False,
    values: Annotated[
        list[Path] | None, typer.Option("--values", help="A file to keep beside the settings, as Helm's values.")
    ] = None,
    then_verify: Annotated[bool, typer.Option("--verify", help="Then verify the archive, as `verify` does.")] = False,
    as_json: Json = False,
) -> None:
    """Keep the tables that neither log nor chain gives back, and what the deployment was told. The log itself is kept
    by jobs, all the time. No key and no password is in it.
    """

    async def work(store: Store, settings: Settings) -> "tuple[Backup, dict[str, Any] | None]":  # what JSON has
        from m0common.clock import system_clock  # noqa: PLC0415
        from m0deploy import backup as backups  # noqa: PLC0415 - help needs no database

        config = backups.told(settings, values or ())
        deployment, clock = Deployment.of(settings), system_clock(settings.env)
        made = await backups.create(store, deployment, settings.postgres, config, clock, full=full)
        if not as_json:
            print(backup_line(made), flush=True)
        return made, await _verified(store, settings, as_json) if then_verify else None

    made, found = on_archive("backup", archive, work, as_json)
    if as_json:
        print(json.dumps(backup_json(made) | ({} if found is None else {"verified": found})))
    if found is not None:
        _end_verified(found, says=not as_json)


@app.command(name="list")
def list_backups(archive: Archive = None, as_json: Json = False) -> None:
    """What the archive holds: the log by incarnation, backups, and the newest rehearsal. What of it cannot be read is
    named, and exit 1.
    """
    found = on_archive("backup", archive, _listed, as_json)
    if as_json:
        print(json.dumps(_listed_json(found)))
    else:
        _print_listed(found)
    if found.faults:
        raise typer.Exit(EXIT_FAILED)


def _listed_json(found: Listed) -> dict[str, Any]:  # what JSON has
    return {
        "logs": found.logs,
        "backups": [backup_json(each) for each in found.backups],
        "rehearsal": None if found.rehearsal is None else rehearsal_json(found.rehearsal),
        "faults": found.faults,
    }


def _print_listed(found: Listed) -> None:
    for log in found.logs:
        epochs = ", ".join(f"{catalog} up to {last}" for catalog, last in log["epochs"].items()) or "no epoch yet"
        print(f"log of cluster {log['cluster']}: {log['entries']} entries up to {log['written']}, {epochs}")
        for gap in log["gaps"]:
            print(f"  lost: {gap['topic']} partition {gap['partition']}, offsets {gap['first']} to {gap['end']}")
    for each in found.backups:
        print(backup_line(each))
    if found.rehearsal is not None:
        print(rehearsal_lines(found.rehearsal))
    elif not found.faults:
        print("never rehearsed")
    for fault in found.faults:
        print(f"m0 backup: {fault}", file=sys.stderr)


@app.command()
def verify(archive: Archive = None, as_json: Json = False) -> None:
    """Read every byte of the archive; exit 1 and name what was changed or is missing."""

    async def work(store: Store, settings: Settings) -> dict[str, Any]:  # what JSON has
        return await _verified(store, settings, as_json)

    found = on_archive("backup", archive, work, as_json, UNSOUND)
    if as_json:
        print(json.dumps(found))
    _end_verified(found, says=not as_json)


async def _verified(store: Store, settings: Settings, as_json: bool) -> dict[str, Any]:  # what JSON has
    from m0archive.backups import faults_of  # noqa: PLC0415
    from m0archive.verify import verify as verify_log  # noqa: PLC0415

    log = await verify_log(store, Deployment.of(settings), _progress(as_json))
    faults = [*log.faults, *await faults_of(store)]
    return {**log._asdict(), "ok": not faults, "faults": faults}


def _end_verified(found: Mapping[str, Any], says: bool) -> None:  # what JSON has
    """Say what was verified, and exit 1 unless all of it is sound."""
    if says:
        for fault in found["faults"]:
            print(fault)
        counts = "{entries} entries, {pieces} pieces of {bytes} bytes, {records} records".format(**found)
        lost = f"; {found['lacks']} offsets were lost before they were archived" if found["lacks"] else ""
        print(f"{'sound' if found['ok'] else 'REFUSED'}: {counts}{lost}")
    if not found["ok"]:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def rehearse(
    archive: Archive = None,
    scratch: Annotated[
        str | None,
        typer.Option(
            "--into", metavar="DSN", help="An empty database to restore tables into.", envvar="M0_REHEARSE_PG_DSN"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Try it out: verify, replay the newest epoch of each catalog from the archive alone, restore the tables. What came
    of it, and how long it took, is noted in the archive.
    """

    async def work(store: Store, settings: Settings) -> "Rehearsal":
        from m0chain.final import finalized_root  # noqa: PLC0415
        from m0common.clock import system_clock  # noqa: PLC0415
        from m0common.secret import SecretDsn  # noqa: PLC0415
        from m0deploy.rehearsal import rehearse as tried  # noqa: PLC0415
        from m0lanes.stages import Heart  # noqa: PLC0415
        from m0replay.replay import replay_epoch  # noqa: PLC0415

        deployment = Deployment.of(settings)
        heart, final = Heart.installed(deployment), finalized_root(settings)

        async def replay(catalog: str, epoch_id: int) -> str | None:
            log = await log_with(store, deployment, catalog, epoch_id)
            return (await replay_epoch(log, heart, final, catalog, epoch_id, lanes_kept=False)).difference

        into = None if scratch is None else settings.postgres.model_copy(update={"dsn": SecretDsn(scratch)})
        return await tried(store, deployment, replay, into, system_clock(settings.env))

    done = on_archive("backup", archive, work, as_json, UNSOUND)
    print(json.dumps(rehearsal_json(done)) if as_json else rehearsal_lines(done))
    raise typer.Exit(0 if done.ok else EXIT_FAILED)


async def _listed(store: Store, settings: Settings) -> Listed:
    from m0archive.backups import backup_chain, rehearsal_chain  # noqa: PLC0415
    from m0archive.entries import check_identity, log_chain  # noqa: PLC0415
    from m0archive.incarnation import incarnations  # noqa: PLC0415

    found = Listed([], [], None, [])

    @contextmanager
    def reading() -> Iterator[None]:
        try:
            yield
        except Damaged as error:  # the rest is listed
            found.faults.append(error.advice)

    deployment = Deployment.of(settings)
    await check_identity(store, deployment)
    with reading():
        if await log_chain(store).newest() is not None:
            async for log in incarnations(store, deployment):
                found.logs.append(await _log(log))
    made = backup_chain(store)
    for number in range(await made.count()):
        with reading():
            found.backups.append((await made.expected(number)).link)
    with reading():
        rehearsal = await rehearsal_chain(store).newest()
        found.rehearsal = None if rehearsal is None else rehearsal.link
    return found


async def _log(log: "Incarnation") -> dict[str, Any]:  # what JSON has
    from m0deploy.rehearsal import newest_epochs_of  # noqa: PLC0415

    gaps = [{"topic": g.topic, "partition": g.partition, "first": g.first, "end": g.end} async for g in log.gaps()]
    return {
        "cluster": log.cluster,
        "entries": log.last.number - log.last.since + 1,
        "written_ms": log.last.written_ms,
        "written": when(log.last.written_ms),
        "epochs": await newest_epochs_of(log),
        "gaps": gaps,
    }


def _progress(as_json: bool) -> Any:  # a function of two numbers
    def said(done: int, of: int) -> None:
        if done and done % 1000 == 0:
            print(f"{done} of {of} entries read", file=sys.stderr)

    return (lambda *_: None) if as_json else said


def when(ms: int) -> str:
    """A time as people read it."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def backup_line(backup: "Backup") -> str:
    """One line."""
    rows = ", ".join(f"{table.rows} {table.name}" for table in backup.tables)
    kind = "all tables" if backup.full else "tables"
    took = f"in {backup.took_ms / 1000:.1f} s"
    return f"backup {backup.number} of {when(backup.made_ms)}, {took}: {kind} ({rows}), {len(backup.files)} files"


def backup_json(backup: "Backup") -> dict[str, Any]:  # what JSON has
    """What `--json` prints of one."""
    fields = ("number", "made_ms", "took_ms", "schema", "full", "entry")
    said: dict[str, Any] = {field: getattr(backup, field) for field in fields}
    return said | {
        "tables": {table.name: table.rows for table in backup.tables},
        "files": [file.name for file in backup.files],
    }


def rehearsal_lines(done: "Rehearsal") -> str:
    """A line for what came of it, and one for each step."""
    head = f"rehearsal {done.number} of {when(done.made_ms)}: {'it works' if done.ok else 'IT DOES NOT WORK'}"
    steps = [
        f"  {step.name}: {'ok' if step.ok else 'FAILED'} in {step.took_ms / 1000:.1f} s: {step.said}"
        for step in done.steps
    ]
    return "\n".join([head, *steps])


def rehearsal_json(done: "Rehearsal") -> dict[str, Any]:  # what JSON has
    """What `--json` prints of one."""
    steps = [{"name": s.name, "ok": s.ok, "took_ms": s.took_ms, "said": s.said} for s in done.steps]
    return {"number": done.number, "ok": done.ok, "made_ms": done.made_ms, "backup": done.backup, "steps": steps}
