"""Signer sets from the index."""

from typing import Any

from m0common.store.postgres import Connection, Pool, fetch


async def signer_sets(pool: Pool) -> list[dict[str, Any]]:
    """Every signer set by id."""
    return await fetch(pool, "SELECT id, threshold, signers, activation_epoch, retired FROM signer_sets ORDER BY id")


async def schema_revision(connection: Connection) -> str | None:
    """The migration the database is at, None before the first."""
    asked = await connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL AS migrated")
    row = await asked.fetchone()
    if row is None or not row["migrated"]:
        return None
    row = await (await connection.execute("SELECT version_num FROM alembic_version")).fetchone()
    return None if row is None else str(row["version_num"])
