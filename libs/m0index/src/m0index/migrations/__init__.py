"""The database schema, as numbered steps of plain SQL, and bringing a database to the newest one.

`upgrade(dsn)` may be called by any number of processes at once: they wait for each other on an advisory lock and only
the first does the work. A database that is at the newest step, or newer, is only looked at: `m0index.schema` says who
may use it.

A step only expands: what the version before reads and writes goes on working, so that services go on through a
migration and may be rolled back behind it. What contracts comes a version later and raises `schema_terms.oldest`
(`m0lint` says which does).
"""

from pathlib import Path

import psycopg
from m0common.errors import SettingsError, Unavailable
from m0common.secret import SecretDsn
from m0common.store.address import address


def head() -> str:
    """The newest step this version knows, by the numbers in the names of the files."""
    return max(step.name.split("_", 1)[0] for step in (Path(__file__).parent / "versions").glob("[0-9]*.py"))


def is_step(version: str) -> bool:
    """Whether a database at `version` can be one of ours."""
    return version.isdecimal() and len(version) == len(head())


def is_behind(version: str | None) -> bool:
    """Whether `upgrade` has something to do for a database at `version`, None before the first step."""
    return version is None or (is_step(version) and version < head())


def current(dsn: str | SecretDsn) -> str | None:
    """The step a database is at, None before the first.

    Raises Unavailable when it does not answer, SettingsError when `dsn` is no address or its database not in UTF-8.
    """
    secret = SecretDsn.of(dsn)
    try:
        with psycopg.connect(address(secret), autocommit=True) as connection:
            if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
                raise SettingsError(
                    f"database {connection.info.dbname} has the encoding {encoding}: create it with ENCODING 'UTF8'"
                )
            if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.OperationalError as error:
        raise no_answer(secret, error) from error
    return None if row is None else str(row[0])


def upgrade(dsn: str | SecretDsn) -> None:
    """Bring the database at `dsn` to the newest step, unless it is there or further.

    Raises Unavailable when it does not answer or a statement holds a table for too long.
    """
    if is_behind(current(dsn)):
        from m0index.migrations import steps  # noqa: PLC0415 - alembic is slow to import and seldom needed

        steps.apply(SecretDsn.of(dsn))


def take_back(dsn: str | SecretDsn, step: str) -> None:
    """Bring the database back to `step`. Raises as `upgrade` does."""
    from m0index.migrations import steps  # noqa: PLC0415 - see `upgrade`

    steps.take_back(SecretDsn.of(dsn), step)


def no_answer(dsn: SecretDsn, error: Exception) -> Unavailable:
    """What to say when the database at `dsn` does not answer."""
    return Unavailable(f"Postgres does not answer: {dsn.scrub(str(error).splitlines()[0])}; check M0_PG_DSN")
