"""Signer sets from the index."""

from typing import Any

from m0common.store.postgres import Pool, fetch


async def every(pool: Pool) -> list[dict[str, Any]]:
    """Every signer set by id."""
    return await fetch(pool, "SELECT id, threshold, signers, activation_epoch, retired FROM signer_sets ORDER BY id")
