"""The database schema, as numbered steps of plain SQL.

`upgrade(dsn)` brings a database to the newest step and may be called by any number of processes at once: they wait for
each other on an advisory lock and only the first does the work.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from m0common.errors import Unavailable

LOCK_KEY = 0x6D30_6D69_6772
"""Key of the advisory lock under which a schema is changed ("m0migr")."""


def head() -> str:
    """The newest step this release knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None, "the migrations folder has no step"
    return revision


def current(dsn: str) -> str | None:
    """The step a database is at, None before the first. Raises Unavailable when it does not answer."""
    with _connection(dsn) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(dsn: str, revision: str = "head") -> str | None:
    """Bring the database at `dsn` to `revision` and return the step it is at. Raises Unavailable without an answer."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = _config()
    with _connection(dsn) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
        connection.commit()
        try:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            connection.commit()
            return MigrationContext.configure(connection).get_current_revision()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
            connection.commit()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


@contextmanager
def _connection(dsn: str) -> Iterator[Connection]:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn), poolclass=NullPool)
    try:
        try:
            connection = engine.connect()
        except (OperationalError, psycopg.OperationalError) as error:
            raise Unavailable(f"Postgres does not answer: {str(error).splitlines()[0]}; check M0_PG_DSN") from error
        with connection:
            yield connection
    finally:
        engine.dispose()
