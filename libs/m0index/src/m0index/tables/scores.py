"""Scores of resolved markets, and those that have none yet."""

from dataclasses import dataclass

from m0common.store.postgres import Connection


@dataclass(frozen=True, slots=True)
class Unscored:
    """A resolved market without a score, and its last finalized prediction once that one is certain."""

    market_id: str
    resolved_ms: int
    catalog: str
    outcome: int
    epoch_id: int | None
    model: str | None
    leaf: bytes | None


@dataclass(frozen=True, slots=True)
class Score:
    """How good the last finalized prediction of a market was."""

    market_id: str
    epoch_id: int
    model: str
    catalog: str
    outcome: int
    brier: float
    """0 to 2"""
    log_loss: float
    """nats"""


async def unscored(connection: Connection, now_ms: int, behind: tuple[int, str], limit: int) -> list[Unscored]:
    """Resolved markets without a score behind one (by time of resolution and id), with the last leaf where it is
    certain.

    It is, once an epoch that began after the resolution is final, since epochs become final in ascending order; in a
    catalog that stands still, once every epoch with the market must be over. Void markets are not scored, and blocked
    leaves (no outcomes, so a `u32` zero behind the leaf's first 52 bytes) say nothing that could be.
    """
    found = await connection.execute(
        """
        WITH page AS MATERIALIZED (
            SELECT market_id, resolved_ms, catalog, resolution, commitment FROM markets
            WHERE resolution IS NOT NULL AND resolution <> 255 AND NOT scored AND (resolved_ms, market_id) > (%s, %s)
            ORDER BY resolved_ms, market_id LIMIT %s
        ), newest AS MATERIALIZED (
            SELECT c.catalog, c.epoch_ms, c.commit_ms, c.reveal_ms, final.window_start_ms AS final_from_ms
            FROM catalogs c LEFT JOIN LATERAL (
                SELECT e.window_start_ms FROM epochs e WHERE e.catalog = c.catalog AND e.public_status = 'finalized'
                ORDER BY e.window_end_ms DESC, e.epoch_id DESC LIMIT 1
            ) final ON true
        )
        SELECT p.market_id, p.resolved_ms, p.catalog, p.resolution AS outcome, last.epoch_id, last.model, last.leaf
        FROM page p JOIN newest n USING (catalog)
        LEFT JOIN LATERAL (
            SELECT l.epoch_id, l.model, l.leaf FROM leaves l JOIN epochs e USING (bundle_hash)
            WHERE l.market_id = p.market_id AND e.settled AND substring(l.leaf FROM 53 FOR 4) <> '\\x00000000'::bytea
            ORDER BY l.epoch_id DESC LIMIT 1
        ) last ON p.commitment = 'finalized' AND (
            n.final_from_ms >= p.resolved_ms
            OR p.resolved_ms + 2 * n.epoch_ms + n.commit_ms + n.reveal_ms < %s
        )
        ORDER BY p.resolved_ms, p.market_id
        """,
        (*behind, limit, now_ms),
    )
    return [Unscored(**row) for row in await found.fetchall()]


async def store_score(connection: Connection, score: Score, now_ms: int) -> bool:
    """Keep the score of a market that has none, and note that it has; False when it had one."""
    added = await connection.execute(
        """
        INSERT INTO scores (market_id, epoch_id, model, catalog, brier, log_loss, outcome, scored_ms)
        SELECT %s, %s, %s, %s, %s, %s, %s, %s WHERE NOT EXISTS (SELECT FROM scores WHERE market_id = %s)
        """,
        (
            score.market_id, score.epoch_id, score.model, score.catalog, score.brier, score.log_loss, score.outcome,
            now_ms, score.market_id,
        ),
    )  # fmt: skip
    await connection.execute("UPDATE markets SET scored = true WHERE market_id = %s", (score.market_id,))
    return bool(added.rowcount)
