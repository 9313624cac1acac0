"""The database schema, as numbered steps of plain SQL: where a database stands, and bringing it to the newest one.

`upgrade(dsn)` may be called by any number of processes at once: they wait for each other on an advisory lock and only
the first does the work. A database that is at the newest step is only looked at.
"""

from pathlib import Path

import psycopg
from m0common.errors import Unavailable
from m0common.secret import SecretDsn
from m0common.store.address import address


def head() -> str:
    """The newest step this release knows, by the numbers in the names of the files."""
    return max(step.name.split("_", 1)[0] for step in (Path(__file__).parent / "versions").glob("[0-9]*.py"))


def current(dsn: str | SecretDsn) -> str | None:
    """The step a database is at, None before the first.

    Raises Unavailable when it does not answer, SettingsError when `dsn` is no address.
    """
    secret = SecretDsn.of(dsn)
    try:
        with psycopg.connect(address(secret), autocommit=True) as connection:
            if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.OperationalError as error:
        raise no_answer(secret, error) from error
    return None if row is None else str(row[0])


def upgrade(dsn: str | SecretDsn) -> str:
    """Bring the database at `dsn` to the newest step and return it. Raises Unavailable when it does not answer."""
    newest = head()
    if current(dsn) != newest:
        from m0index.migrations import steps  # noqa: PLC0415 - alembic is slow to import and seldom needed

        steps.apply(SecretDsn.of(dsn))
    return newest


def no_answer(dsn: SecretDsn, error: Exception) -> Unavailable:
    """What to say when the database at `dsn` does not answer."""
    return Unavailable(f"Postgres does not answer: {dsn.scrub(str(error).splitlines()[0])}; check M0_PG_DSN")
