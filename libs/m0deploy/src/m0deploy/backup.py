"""A backup of what is in no log and on no chain: some tables or all, and what a deployment was told.

Keys, passwords and signers' guards are in none: what a setting hides is masked, and what any file holds of a secret in
use is taken out.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path

from m0archive import files
from m0archive.backups import Backup, Kept, backup_chain, content
from m0archive.chain import behind
from m0archive.entries import claim_identity, log_chain
from m0archive.store import Store
from m0common.clock import Clock
from m0common.deployment import Deployment
from m0common.errors import Fenced, SettingsError, Unavailable
from m0common.preflight import secrets
from m0common.secret import scrubber
from m0common.settings import Postgres, Settings
from m0common.store import postgres
from m0common.store.postgres import Connection, Pool, transaction
from m0index import keeping, migrations

from m0deploy.masked import masked

STATEMENT_MS = 6 * 3_600_000
"""A table may be large."""
FOLDERS = ("markets", "risk")
"""Of a deployment's catalogs."""


def patient(settings: Postgres) -> Postgres:
    """The same database, for statements that take long."""
    return settings.model_copy(update={"statement_timeout_ms": STATEMENT_MS, "pool_max": 1})


def told(settings: Settings, values: Iterable[Path]) -> dict[str, bytes]:
    """What a deployment was told, as files: its settings, its catalogs, and the files of `values`, such as Helm's, in
    which also what looks like somebody else's secret is masked.

    Raises SettingsError for a file that cannot be read, and for two of one name.
    """
    hidden = secrets(settings)
    for secret in hidden:
        with contextlib.suppress(Unavailable):
            secret.reveal()  # known from now on, and so taken out
    scrub = scrubber(hidden)
    found = {"settings.json": json.dumps(settings.model_dump(mode="json"), indent=1, sort_keys=True)}
    catalogs = Path(settings.catalogs_dir)
    for folder in FOLDERS:
        for file in sorted((catalogs / folder).glob("*.toml")):
            found[f"{folder}/{file.name}"] = _text(file)
    for file in values:
        if (name := f"values/{file.name}") in found:
            raise SettingsError(f"--values {file}: another one is called {file.name} too, give it another name")
        found[name] = masked(_text(file))
    return {name: scrub(text).encode() for name, text in found.items()}


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read ({error}): name a text file that this user may read") from error


async def create(
    store: Store, deployment: Deployment, settings: Postgres, config: Mapping[str, bytes], clock: Clock, *, full: bool
) -> Backup:
    """Keep a backup behind the ones before: the tables that nothing else gives back, all of them when `full`.

    Raises NoArchive for an archive of another deployment, SettingsError for a database without our schema, Fenced when
    another is made at the same time, Unavailable.
    """
    began_ms, root = clock.monotonic_ms(), await claim_identity(store, deployment)
    step = await asyncio.to_thread(migrations.current, settings.dsn)
    if step is None or not migrations.is_step(step):
        raise SettingsError(
            f"the database's schema is at {step}, which is none of ours: let M0_PG_DSN lead to the index"
        )
    async with postgres.opened(patient(settings), name="m0-backup") as pool, _snapshot(pool) as connection:
        names = await keeping.tables(connection) if full else keeping.KEPT
        tables = [await _table(store, connection, name) for name in names]
    kept = [Kept(name, await files.keep(store, _whole(text))) for name, text in sorted(config.items())]
    log = await log_chain(store).newest()
    number, previous = behind(await backup_chain(store).newest(), root)
    made = Backup(
        number=number,
        previous=previous,
        made_ms=clock.now_ms(),
        took_ms=clock.monotonic_ms() - began_ms,
        schema=step,
        full=full,
        entry=-1 if log is None else log.link.number,
        tables=tables,
        files=kept,
    )
    try:
        return (await backup_chain(store).append(made)).link
    except Fenced:
        raise Fenced(
            f"another backup was made while this one was, as number {number}: 'm0 backup list' shows it; run this "
            "again if another is wanted"
        ) from None


@contextlib.asynccontextmanager
async def _snapshot(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction that sees the database as it is now, whatever is written meanwhile."""
    async with transaction(pool) as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield connection


async def _table(store: Store, connection: Connection, name: str) -> Kept:
    names = await keeping.columns(connection, name)
    parts = await files.keep(store, keeping.taken_out(connection, name, names))
    return Kept(name, parts, names, await keeping.count(connection, name))


async def _whole(text: bytes) -> AsyncIterator[bytes]:
    yield text


async def restore(store: Store, settings: Postgres, backup: Backup) -> dict[str, int]:
    """Put the rows of a backup into a database, all of them or none; how many of each table were not there yet.

    Raises SettingsError for a schema that is older than the backup's, and where a full backup would meet rows; Damaged,
    Unavailable.
    """
    step = await asyncio.to_thread(migrations.current, settings.dsn)
    if step is None or not migrations.is_step(step) or step < backup.schema:
        raise SettingsError(
            f"the database's schema is at {step}, the backup's at {backup.schema}: start the indexer of the backup's "
            "version or a newer one, or 'm0 bootstrap', which bring it there"
        )
    async with postgres.opened(patient(settings), name="m0-backup") as pool, transaction(pool) as connection:
        there = {table.name: await keeping.count(connection, table.name) for table in backup.tables}
        filled = [name for name, rows in there.items() if rows]
        if backup.full and filled:
            raise SettingsError(
                f"backup {backup.number} is a full one, and the database has rows in {', '.join(filled)}: restore it "
                "into an empty database, with services stopped"
            )
        return {
            table.name: await keeping.put_in(connection, table.name, table.columns, content(store, table))
            for table in backup.tables
        }
