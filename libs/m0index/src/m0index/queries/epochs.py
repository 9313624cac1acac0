"""Epochs from the index."""

from collections.abc import Mapping
from typing import Any, LiteralString

from m0common.store.postgres import Pool, fetch, fetch_one

from m0index.queries import narrowed

_SELECT = """
    SELECT e.catalog, e.epoch_id, e.public_status AS status, e.signer_set_id, e.window_start_ms, e.window_end_ms,
           e.commit_deadline_ms, e.reveal_deadline_ms,
           CASE WHEN e.settled THEN e.leaf_count END AS leaf_count,
           CASE WHEN e.settled THEN encode(e.merkle_root, 'hex') END AS merkle_root,
           CASE WHEN e.settled THEN encode(e.bundle_hash, 'hex') END AS bundle_hash,
           CASE WHEN e.settled THEN encode(e.prev_bundle_hash, 'hex') END AS prev_bundle_hash,
           CASE WHEN e.settled THEN e.finalized_slot END AS finalized_slot,
           CASE WHEN e.settled THEN e.finalize_signature END AS finalize_signature,
           CASE WHEN NOT e.settled THEN NULL
                WHEN (SELECT 1 FROM bundles b WHERE b.bundle_hash = e.bundle_hash) = 1 THEN 'available'
                WHEN e.published THEN 'missing' END AS body,
           coalesce((
               SELECT jsonb_agg(jsonb_build_object('signer', s.signer, 'committed', s.committed, 'revealed', s.revealed,
                                                   'bundle_hash', encode(s.bundle_hash, 'hex')) ORDER BY s.signer)
               FROM epoch_signers s WHERE s.catalog = e.catalog AND s.epoch_id = e.epoch_id
           ), '[]') AS signers
    FROM epochs e
"""


_WHERE: Mapping[str, LiteralString] = {
    "catalog": "e.catalog = %(catalog)s",
    "status": "e.public_status = %(status)s",
    "name": "(e.window_end_ms, e.catalog, e.epoch_id) < (%(end_ms)s, %(name)s, %(epoch_id)s)",
}


async def listed(
    pool: Pool, catalog: str | None, status: str | None, after: tuple[int, str, int] | None, limit: int
) -> list[dict[str, Any]]:
    """Epochs newest first, after `(window_end_ms, catalog, epoch_id)`."""
    end_ms, name, epoch_id = after or (None, None, None)
    asked = {"catalog": catalog, "status": status, "end_ms": end_ms, "name": name, "epoch_id": epoch_id}
    newest = "ORDER BY e.window_end_ms DESC, e.catalog DESC, e.epoch_id DESC LIMIT %(limit)s"
    return await fetch(pool, f"{_SELECT} {narrowed(_WHERE, asked)} {newest}", asked | {"limit": limit})


async def one(pool: Pool, catalog: str, epoch_id: int) -> dict[str, Any] | None:
    """An epoch, None when there is none."""
    return await fetch_one(
        pool,
        f"{_SELECT} WHERE e.catalog = %s AND e.epoch_id = %s",
        (catalog, epoch_id),
    )
