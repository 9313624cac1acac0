"""Where the schema stands."""

from m0common.store.postgres import Connection


async def revision(connection: Connection) -> str | None:
    """The migration the database is at, None before the first."""
    asked = await connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL AS migrated")
    row = await asked.fetchone()
    if row is None or not row["migrated"]:
        return None
    row = await (await connection.execute("SELECT version_num FROM alembic_version")).fetchone()
    return None if row is None else str(row["version_num"])
