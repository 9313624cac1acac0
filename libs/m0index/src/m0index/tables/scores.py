"""Scores of resolved markets, and those that can be scored."""

from dataclasses import dataclass

from m0common.store.postgres import Connection


@dataclass(frozen=True, slots=True)
class Scorable:
    """A resolved market and its last finalized prediction."""

    market_id: str
    catalog: str
    outcome: int
    epoch_id: int
    model: str
    leaf: bytes


async def scorable(connection: Connection, now_ms: int, limit: int) -> list[Scorable]:
    """Resolved markets without a score whose last leaf is certain.

    It is, once an epoch that began after the resolution is final, since epochs become final in ascending order; in a
    catalog that stands still, once every epoch with the market must be over. Void markets are not scored, and blocked
    leaves (no outcomes, so a `u32` zero behind the leaf's first 52 bytes) say nothing that could be.
    """
    found = await connection.execute(
        """
        SELECT m.market_id, m.catalog, m.resolution AS outcome, last.epoch_id, last.model, last.leaf
        FROM markets m JOIN catalogs c USING (catalog)
        CROSS JOIN LATERAL (
            SELECT l.epoch_id, l.model, l.leaf FROM leaves l JOIN epochs e USING (bundle_hash)
            WHERE l.market_id = m.market_id AND e.settled AND substring(l.leaf FROM 53 FOR 4) <> '\\x00000000'::bytea
            ORDER BY l.epoch_id DESC LIMIT 1
        ) last
        WHERE m.resolution IS NOT NULL AND m.resolution <> 255 AND m.commitment = 'finalized'
          AND NOT EXISTS (SELECT FROM scores s WHERE s.market_id = m.market_id)
          AND (
            m.resolved_ms + 2 * c.epoch_ms + c.commit_ms + c.reveal_ms < %s
            OR EXISTS (
                SELECT FROM epochs e
                WHERE e.catalog = m.catalog AND e.settled AND e.window_start_ms >= m.resolved_ms
                  AND e.window_end_ms > m.resolved_ms
            )
          )
        ORDER BY m.resolved_ms, m.market_id LIMIT %s
        """,
        (now_ms, limit),
    )
    return [Scorable(**{**row, "leaf": bytes(row["leaf"])}) for row in await found.fetchall()]


async def store_score(connection: Connection, item: Scorable, brier: float, log_loss: float, now_ms: int) -> bool:
    """Keep a score once; False when it was there."""
    added = await connection.execute(
        """
        INSERT INTO scores (market_id, epoch_id, model, catalog, brier, log_loss, outcome, scored_ms)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
        """,
        (item.market_id, item.epoch_id, item.model, item.catalog, brier, log_loss, item.outcome, now_ms),
    )
    return bool(added.rowcount)
