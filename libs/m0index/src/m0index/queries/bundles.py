"""Bundles of final epochs; one that the chain has not decided is shown to nobody."""

from typing import Any

from m0common.store.postgres import Pool, fetch, fetch_one


async def one(pool: Pool, bundle_hash: bytes) -> dict[str, Any] | None:
    """A bundle, None when it is not stored or not final."""
    return await fetch_one(
        pool,
        """
            SELECT header, input_digests, state_digests,
                   array(SELECT market_id FROM leaves l WHERE l.bundle_hash = b.bundle_hash ORDER BY leaf_index)
                   AS market_ids
            FROM bundles b
            WHERE bundle_hash = %s AND EXISTS (SELECT FROM epochs e WHERE e.bundle_hash = b.bundle_hash AND e.settled)
            """,
        (bundle_hash,),
    )


async def header(pool: Pool, bundle_hash: bytes) -> bytes | None:
    """The header's bytes, None when the bundle is not stored or not final."""
    row = await fetch_one(
        pool,
        """
            SELECT header FROM bundles b
            WHERE bundle_hash = %s AND EXISTS (SELECT FROM epochs e WHERE e.bundle_hash = b.bundle_hash AND e.settled)
            """,
        (bundle_hash,),
    )
    return None if row is None else bytes(row["header"])


async def leaves(pool: Pool, bundle_hash: bytes) -> list[bytes]:
    """The leaves in tree order; none when the bundle is not stored or not final."""
    rows = await fetch(
        pool,
        """
            SELECT leaf FROM leaves l
            WHERE bundle_hash = %s AND EXISTS (SELECT FROM epochs e WHERE e.bundle_hash = l.bundle_hash AND e.settled)
            ORDER BY leaf_index
            """,
        (bundle_hash,),
    )
    return [bytes(row["leaf"]) for row in rows]
