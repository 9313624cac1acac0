"""Bring a database to a step, by alembic."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from m0common.errors import Unavailable
from m0common.secret import SecretDsn
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from m0index.migrations import no_answer

LOCK_KEY = 0x6D30_6D69_6772
"""Key of the advisory lock under which a schema is changed ("m0migr")."""
LOCK_TIMEOUT_MS = 1_000
"""Whoever waits for a table makes everyone behind it wait: a step gives up after this, and tries again."""
TRIES = 30
PAUSE_S = 1.0


def apply(dsn: SecretDsn) -> None:
    """Apply the steps that the database at `dsn` lacks.

    Raises Unavailable when it does not answer, or a statement of somebody else holds a table through all tries.
    """
    _move(dsn, partial(command.upgrade, revision="head"))


def take_back(dsn: SecretDsn, step: str) -> None:
    """Take back the steps behind `step`. Raises as `apply` does."""
    _move(dsn, partial(command.downgrade, revision=step))


def _move(dsn: SecretDsn, move: Callable[[Config], None]) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = _config()
    with _connection(dsn) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
        connection.execute(text(f"SET lock_timeout = {LOCK_TIMEOUT_MS}"))
        connection.commit()
        try:
            config.attributes["connection"] = connection
            _patiently(connection, partial(move, config))
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
            connection.commit()


def _patiently(connection: Connection, move: Callable[[], None]) -> None:
    for tries_left in reversed(range(TRIES)):
        try:
            move()
            connection.commit()
        except OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise
            connection.rollback()
            if not tries_left:
                raise Unavailable(
                    f"a statement has held a table of the index through {TRIES} tries: see pg_stat_activity"
                ) from error
            time.sleep(PAUSE_S)
        else:
            return


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


@contextmanager
def _connection(dsn: SecretDsn) -> Iterator[Connection]:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn.reveal()), poolclass=NullPool)
    try:
        try:
            connection = engine.connect()
        except (OperationalError, psycopg.OperationalError) as error:
            raise no_answer(dsn, error) from error
        with connection:
            yield connection
    finally:
        engine.dispose()
