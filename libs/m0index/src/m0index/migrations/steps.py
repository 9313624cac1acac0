"""Bring a database to the newest step, by alembic."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from m0common.secret import SecretDsn
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from m0index.migrations import no_answer

LOCK_KEY = 0x6D30_6D69_6772
"""Key of the advisory lock under which a schema is changed ("m0migr")."""


def apply(dsn: SecretDsn) -> None:
    """Apply the steps that the database at `dsn` lacks. Raises Unavailable when it does not answer."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = _config()
    with _connection(dsn) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
        connection.commit()
        try:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
            connection.commit()


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
