"""Signer sets from the index."""

from typing import Any

from m0common.store.postgres import Pool, transaction


async def signer_sets(pool: Pool) -> list[dict[str, Any]]:
    """Every signer set by id."""
    async with transaction(pool) as connection:
        found = await connection.execute(
            "SELECT id, threshold, signers, activation_epoch, retired FROM signer_sets ORDER BY id"
        )
        return await found.fetchall()


async def schema_revision(pool: Pool) -> str | None:
    """The migration the database is at, None before the first."""
    async with transaction(pool) as connection:
        found = await connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL AS migrated")
        row = await found.fetchone()
        if row is None or not row["migrated"]:
            return None
        row = await (await connection.execute("SELECT version_num FROM alembic_version")).fetchone()
        return None if row is None else str(row["version_num"])
