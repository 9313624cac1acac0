"""Predictions from the index: leaves of final bundles, and what the models say of open epochs."""

from typing import Any, LiteralString, NamedTuple

from m0common.canonical import Outcome
from m0common.store.postgres import Pool, fetch, fetch_one

from m0index.rows import INT64_MAX


class FinalLeaf(NamedTuple):
    """A leaf of a final bundle, and the names of its market's outcomes as far as the registry has them."""

    market_id: str
    catalog: str
    epoch_id: int
    leaf: bytes
    model: str
    bundle_hash: bytes
    names: list[str]


class LiveRow(NamedTuple):
    """What the models say of a market now, and the names of its outcomes as far as the registry has them."""

    market_id: str
    catalog: str
    epoch_id: int
    window_end_ms: int
    outcomes: list[Outcome]
    risk_bps: int
    quality_flags: int
    model: str
    model_key: bytes
    names: list[str]


async def market_exists(pool: Pool, market_id: str) -> bool:
    """Whether the registry has the market."""
    return await fetch_one(pool, "SELECT 1 FROM markets WHERE market_id = %s", (market_id,)) is not None


async def finalized(pool: Pool, market_id: str, before: int | None, limit: int) -> list[FinalLeaf]:
    """Final predictions, newest first, of epochs before `before`."""
    rows = await fetch(
        pool,
        """
            SELECT l.market_id, l.catalog, l.epoch_id, l.leaf, l.model, l.bundle_hash,
                   coalesce(m.outcomes, '{}') AS names
            FROM leaves l
            LEFT JOIN markets m USING (market_id)
            JOIN epochs e
              ON e.catalog = l.catalog AND e.epoch_id = l.epoch_id AND e.bundle_hash = l.bundle_hash AND e.settled
            WHERE l.market_id = %(market_id)s AND l.epoch_id < %(before)s
            ORDER BY l.epoch_id DESC LIMIT %(limit)s
            """,
        {"market_id": market_id, "before": INT64_MAX if before is None else before, "limit": limit},
    )
    return [FinalLeaf(**row) for row in rows]


async def provisional(pool: Pool, market_id: str, open_since_ms: int) -> LiveRow | None:
    """What the models say now of a market that is open, in an epoch whose window ended after `open_since_ms` and above
    every final one of its catalog.
    """
    row = await fetch_one(
        pool,
        """
            SELECT p.market_id, p.catalog, p.epoch_id, p.window_end_ms, p.outcomes, p.risk_bps, p.quality_flags,
                   p.model, p.model_key, coalesce(m.outcomes, '{}') AS names
            FROM provisional p
            LEFT JOIN markets m USING (market_id)
            WHERE p.market_id = %(market_id)s AND p.window_end_ms > %(open_since_ms)s
              AND coalesce(m.state, 'ACTIVE') NOT IN ('DEPRECATED', 'ARCHIVED')
              AND p.epoch_id > coalesce((
                SELECT e.epoch_id FROM epochs e WHERE e.catalog = p.catalog AND e.settled
                ORDER BY e.epoch_id DESC LIMIT 1
              ), -1)
            """,
        {"market_id": market_id, "open_since_ms": open_since_ms},
    )
    if row is None:
        return None
    return LiveRow(**row | {"outcomes": [Outcome(*each) for each in row["outcomes"]]})


async def to_prove(pool: Pool, market_id: str, epoch_id: int | None) -> dict[str, Any] | None:
    """The market's leaf in its newest final epoch, or in `epoch_id` whatever its state, with what a proof needs."""
    wanted: LiteralString = "e.settled AND e.bundle_hash = l.bundle_hash"
    if epoch_id is not None:
        wanted = "l.epoch_id = %(epoch_id)s"
    return await fetch_one(
        pool,
        f"""
            SELECT l.market_id, l.catalog, l.epoch_id, l.leaf, l.leaf_index, l.bundle_hash, b.header,
                   b.merkle_root, b.leaf_count, e.public_status, coalesce(e.settled, false) AS settled,
                   e.bundle_hash = l.bundle_hash AS chosen, e.finalized_slot, e.finalize_signature
            FROM leaves l
            JOIN bundles b USING (bundle_hash)
            LEFT JOIN epochs e ON e.catalog = l.catalog AND e.epoch_id = l.epoch_id
            WHERE l.market_id = %(market_id)s AND {wanted}
            ORDER BY l.epoch_id DESC, (e.bundle_hash = l.bundle_hash) DESC NULLS LAST LIMIT 1
            """,  # noqa: S608 - of constants
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
