"""Predictions from the index: leaves of bundles, and the epochs that made them final."""

from typing import Any

from m0common.store.postgres import Pool, fetch, fetch_one

_SELECT = """
    SELECT l.market_id, l.catalog, l.epoch_id, l.leaf, l.model, l.bundle_hash, m.outcomes AS names,
           CASE WHEN e.settled THEN 'finalized' ELSE 'provisional' END AS status
    FROM leaves l
    LEFT JOIN markets m USING (market_id)
"""
_FINAL = """
    JOIN epochs e ON e.catalog = l.catalog AND e.epoch_id = l.epoch_id AND e.bundle_hash = l.bundle_hash AND e.settled
"""
_PROVISIONAL = """
    LEFT JOIN epochs e ON e.catalog = l.catalog AND e.epoch_id = l.epoch_id
"""
_NOT_DECIDED = "coalesce(e.public_status, 'open') NOT IN ('finalized', 'expired')"


async def market_exists(pool: Pool, market_id: str) -> bool:
    """Whether the registry has the market."""
    return await fetch_one(pool, "SELECT 1 FROM markets WHERE market_id = %s", (market_id,)) is not None


async def finalized(pool: Pool, market_id: str, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Final predictions, newest first, of epochs before `before`."""
    return await fetch(
        pool,
        f"""
            {_SELECT} {_FINAL}
            WHERE l.market_id = %(market_id)s AND (%(before)s::bigint IS NULL OR l.epoch_id < %(before)s)
            ORDER BY l.epoch_id DESC LIMIT %(limit)s
            """,
        {"market_id": market_id, "before": before, "limit": limit},
    )


async def provisional(pool: Pool, market_id: str) -> dict[str, Any] | None:
    """The newest prediction of an epoch that the chain has not decided."""
    return await fetch_one(
        pool,
        f"""
            {_SELECT} {_PROVISIONAL} WHERE l.market_id = %s AND {_NOT_DECIDED} ORDER BY l.epoch_id DESC LIMIT 1
            """,
        (market_id,),
    )


async def to_prove(pool: Pool, market_id: str, epoch_id: int | None) -> dict[str, Any] | None:
    """The market's leaf in its newest final epoch, or in `epoch_id` whatever its state, with what a proof needs."""
    return await fetch_one(
        pool,
        """
            SELECT l.market_id, l.catalog, l.epoch_id, l.leaf, l.leaf_index, l.bundle_hash, b.header,
                   b.merkle_root, b.leaf_count, e.public_status, coalesce(e.settled, false) AS settled,
                   e.bundle_hash = l.bundle_hash AS chosen, e.finalized_slot, e.finalize_signature
            FROM leaves l
            JOIN bundles b USING (bundle_hash)
            LEFT JOIN epochs e ON e.catalog = l.catalog AND e.epoch_id = l.epoch_id
            WHERE l.market_id = %(market_id)s
              AND CASE WHEN %(epoch_id)s::bigint IS NULL THEN e.settled AND e.bundle_hash = l.bundle_hash
                  ELSE l.epoch_id = %(epoch_id)s END
            ORDER BY l.epoch_id DESC, (e.bundle_hash = l.bundle_hash) DESC NULLS LAST LIMIT 1
            """,
        {"market_id": market_id, "epoch_id": epoch_id},
    )


async def epoch_awaits_bundle(pool: Pool, market_id: str, epoch_id: int) -> bool:
    """Whether the market's catalog has this epoch final on chain while its bundle is not stored."""
    return (
        await fetch_one(
            pool,
            """
            SELECT 1 FROM epochs e JOIN markets m USING (catalog)
            WHERE m.market_id = %s AND e.epoch_id = %s AND e.settled
              AND NOT EXISTS (SELECT FROM bundles b WHERE b.bundle_hash = e.bundle_hash)
            """,
            (market_id, epoch_id),
        )
        is not None
    )


async def leaf_hashes(pool: Pool, bundle_hash: bytes) -> list[bytes]:
    """The hashes of a bundle's leaves in tree order."""
    rows = await fetch(pool, "SELECT leaf_hash FROM leaves WHERE bundle_hash = %s ORDER BY leaf_index", (bundle_hash,))
    return [row["leaf_hash"] for row in rows]


async def attestations(pool: Pool, catalog: str, epoch_id: int, bundle_hash: bytes) -> list[dict[str, Any]]:
    """Signers that revealed this bundle with a signature that holds."""
    return await fetch(
        pool,
        """
            SELECT signer, attestation FROM epoch_signers
            WHERE catalog = %s AND epoch_id = %s AND bundle_hash = %s AND attestation_valid ORDER BY signer
            """,
        (catalog, epoch_id, bundle_hash),
    )
