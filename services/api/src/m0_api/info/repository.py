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
