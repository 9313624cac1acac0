"""Signer sets from the index."""

from typing import Any

from m0common.store.postgres import Pool, fetch, fetch_one


async def signer_sets(pool: Pool) -> list[dict[str, Any]]:
    """Every signer set by id."""
    return await fetch(pool, "SELECT id, threshold, signers, activation_epoch, retired FROM signer_sets ORDER BY id")


async def schema_revision(pool: Pool) -> str | None:
    """The migration the database is at, None before the first."""
    row = await fetch_one(pool, "SELECT to_regclass('alembic_version') IS NOT NULL AS migrated")
    if row is None or not row["migrated"]:
        return None
    row = await fetch_one(pool, "SELECT version_num FROM alembic_version")
    return None if row is None else str(row["version_num"])
