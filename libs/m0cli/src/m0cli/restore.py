"""`m0 backup restore`: what an archive holds, put back into Postgres; the log is restore_kafka's."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from m0archive.store import Store
from m0common.deployment import Deployment
from m0common.settings import Settings

from m0cli.archived import Archive, on_archive
from m0cli.asking import agreed
from m0cli.restore_kafka import restore_kafka

if TYPE_CHECKING:
    from m0deploy.restore_bundles import PutBack

restoring = typer.Typer(no_args_is_help=True, help="Put back what a backup holds.")
restoring.command(name="kafka")(restore_kafka)

Yes = Annotated[bool, typer.Option("--yes", help="Write without asking.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@restoring.command(name="postgres")
def restore_postgres(
    archive: Archive = None,
    number: Annotated[int | None, typer.Option(help="Which backup; the newest when not given.", min=0)] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Put the rows of a backup into the index: those that are not there yet, all of them or none."""
    agreed("Put the rows of the backup into the database that M0_PG_DSN names?", yes=yes, as_json=as_json)

    async def work(store: Store, settings: Settings) -> tuple[int, dict[str, int]]:
        from m0archive.backups import backup_chain  # noqa: PLC0415 - help needs no storage
        from m0archive.entries import check_identity  # noqa: PLC0415
        from m0archive.errors import NoArchive  # noqa: PLC0415
        from m0deploy import backup as backups  # noqa: PLC0415

        await check_identity(store, Deployment.of(settings))
        chain = backup_chain(store)
        found = await (chain.newest() if number is None else chain.get(number))
        if found is None:
            which = "no backup" if number is None else f"no backup {number}"
            raise NoArchive(f"the archive at {store.address} has {which}: see 'm0 backup list'")
        return found.link.number, await backups.restore(store, settings.postgres, found.link)

    which, rows = on_archive("backup", archive, work, as_json)
    if as_json:
        print(json.dumps({"backup": which, "rows": rows}))
        return
    print(f"backup {which}: " + ", ".join(f"{count} rows of {name}" for name, count in rows.items()) + " put in")


@restoring.command(name="bundles")
def restore_bundles(archive: Archive = None, yes: Yes = False, as_json: Json = False) -> None:
    """Put bundles and leaves that Kafka holds no longer back into the index, from the archived log. What is there
    stays; run again it goes on.
    """
    agreed("Put bundles of the archive into the database that M0_PG_DSN names?", yes=yes, as_json=as_json)

    async def work(store: Store, settings: Settings) -> "PutBack":
        from m0common.clock import system_clock  # noqa: PLC0415 - help needs no database
        from m0deploy.restore_bundles import restore_bundles as put_back  # noqa: PLC0415

        def says(what: str) -> None:
            if not as_json:
                print(what, file=sys.stderr)

        clock = system_clock(settings.env)
        return await put_back(store, Deployment.of(settings), settings.postgres, clock, says)

    done = on_archive("backup", archive, work, as_json)
    said = {"headers": done.headers, "bundles": done.bundles, "leaves": done.leaves, "refused": done.refused}
    if as_json:
        print(json.dumps(said))
        return
    held = f", {done.refused} messages did not hold" if done.refused else ""
    print(f"{done.bundles} bundles with {done.leaves} leaves put in, of {done.headers} that the archive has{held}")
