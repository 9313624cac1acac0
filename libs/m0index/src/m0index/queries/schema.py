"""Where the schema stands."""

from m0common.store.postgres import Pool, fetch_one


async def revision(pool: Pool) -> str | None:
    """The migration the database is at, None before the first."""
    row = await fetch_one(pool, "SELECT to_regclass('alembic_version') IS NOT NULL AS migrated")
    if row is None or not row["migrated"]:
        return None
    row = await fetch_one(pool, "SELECT version_num FROM alembic_version")
    return None if row is None else str(row["version_num"])
