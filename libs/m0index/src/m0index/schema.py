"""Whether this version of M0Club may use the schema that a database has.

Steps of the schema only expand, so a version works on a newer schema than it knows: the schema itself names the oldest
version that may use it, by the newest step which that version must know (`schema_terms.oldest`).
"""

from typing import NamedTuple

import psycopg
from m0common.secret import SecretDsn
from m0common.store.address import address
from m0common.store.postgres import Connection
from psycopg.rows import dict_row

from m0index import migrations

MIGRATE = "start the indexer of this version, which brings it there"


class Found(NamedTuple):
    """The newest step a database has had, None without any; the oldest version it is for, None when it says nothing."""

    step: str | None
    oldest: str | None


NOTHING = Found(None, None)


async def find(connection: Connection) -> Found:
    """Where the schema stands. Raises psycopg.Error."""
    there = await connection.execute(
        "SELECT to_regclass('alembic_version') IS NOT NULL AS step, to_regclass('schema_terms') IS NOT NULL AS oldest"
    )
    row = await there.fetchone()
    if row is None or not row["step"]:
        return NOTHING
    step = await (await connection.execute("SELECT version_num FROM alembic_version")).fetchone()
    terms = await (await connection.execute("SELECT oldest FROM schema_terms")).fetchone() if row["oldest"] else None
    return Found(None if step is None else step["version_num"], None if terms is None else terms["oldest"])


async def look(dsn: SecretDsn) -> Found:
    """The same of the database at an address. Raises SettingsError, or Unavailable when it does not answer."""
    try:
        async with await psycopg.AsyncConnection.connect(address(dsn), autocommit=True, row_factory=dict_row) as opened:
            return await find(opened)
    except psycopg.Error as error:
        raise migrations.no_answer(dsn, error) from error


def lacking(found: Found, head: str) -> bool:
    """Whether a migration to `head` would help: there is no schema, or one of ours that is older."""
    return found.step is None or (migrations.is_step(found.step) and found.step < head)


def problem(found: Found, head: str) -> str | None:
    """Why a version that knows the steps up to `head` cannot use what was found, with the remedy; None when it can."""
    if found.step is None:
        return f"the database has no schema: {MIGRATE}"
    if not migrations.is_step(found.step) or (found.step >= head and found.oldest is None):
        return f"the schema is at {found.step!r}, which is no step of ours: let M0_PG_DSN lead to M0Club's database"
    if found.step < head:
        return f"the schema is at {found.step}, this version needs {head}: {MIGRATE}"
    if found.oldest is not None and found.oldest > head:
        return (
            f"the schema is at {found.step} and is for versions that know {found.oldest}, this one knows {head}: "
            "run a newer version"
        )
    return None


def note(found: Found, head: str) -> str | None:
    """What is worth saying of a schema that can be used."""
    if found.step is None or found.step <= head or problem(found, head) is not None:
        return None
    return f"the schema is at {found.step}, newer than this version, which knows {head} and may use it"


class Schema:
    """What a process knows of the schema; `ask` goes into the pulse of its database."""

    def __init__(self, head: str | None = None) -> None:
        self._head = head or migrations.head()
        self._found: Found | None = None

    async def ask(self, connection: Connection) -> str | None:
        """Look again; the problem, if there is one. Raises psycopg's errors of a connection."""
        try:
            self._found = await find(connection)
        except (psycopg.ProgrammingError, psycopg.NotSupportedError) as error:
            self._found = None
            return f"the schema is being changed: {error}"
        return problem(self._found, self._head)

    def lacking(self) -> bool:
        """Whether a migration would help, as far as is known."""
        return self._found is not None and lacking(self._found, self._head)

    def note(self) -> str | None:
        """For readiness: what is worth saying although the schema can be used."""
        return None if self._found is None else note(self._found, self._head)
