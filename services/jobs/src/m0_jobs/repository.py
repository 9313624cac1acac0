"""Every SQL statement of jobs."""

from dataclasses import dataclass
from typing import NamedTuple

from m0common.messages import MarketOutcome
from m0common.store.postgres import Connection


class Standing(NamedTuple):
    """What is known of a market when an outcome of it comes; None: not listed, not resolved, no outcome yet."""

    catalog: str | None
    outcome_count: int | None
    resolution: int | None
    outcome: int | None


_IN_FORCE = """
    SELECT o.outcome, o.evidence_hash FROM outcomes o
    WHERE o.market_id = m.market_id AND o.catalog = m.catalog
      AND (o.outcome = 255 OR o.outcome < cardinality(m.outcomes))
    ORDER BY o.position DESC LIMIT 1
"""
"""Of market `m`: the last outcome said that fits it. What does not fit takes nobody's place, also when it was stored
before its market was known."""


async def standing(connection: Connection, market_id: str) -> Standing:
    """What is known of a market."""
    found = await connection.execute(
        f"""
        SELECT m.catalog, cardinality(m.outcomes) AS outcome_count, m.resolution, o.outcome
        FROM markets m LEFT JOIN LATERAL ({_IN_FORCE}) o ON true WHERE m.market_id = %s
        """,  # noqa: S608 - the part is a constant
        (market_id,),
    )
    row = await found.fetchone()
    return Standing(None, None, None, None) if row is None else Standing(**row)


async def store_outcome(connection: Connection, outcome: MarketOutcome, now_ms: int) -> None:
    """Make an outcome the last one said of its market."""
    await connection.execute(
        """
        INSERT INTO outcomes (market_id, catalog, outcome, evidence_hash, event_ms, source, received_ms)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (market_id, outcome) DO UPDATE SET
            position = excluded.position, catalog = excluded.catalog, evidence_hash = excluded.evidence_hash,
            event_ms = excluded.event_ms, source = excluded.source, received_ms = excluded.received_ms
        """,
        (
            outcome.market_id, outcome.catalog, outcome.outcome, outcome.evidence_hash, outcome.event_ms,
            outcome.source, now_ms,
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Due:
    """A market that can be resolved."""

    market_id: str
    outcome: int
    evidence_hash: bytes


async def due_for_resolution(connection: Connection, now_ms: int, limit: int) -> list[Due]:
    """Markets with a known outcome that the index does not show as resolved; DRAFT and ARCHIVED ones cannot be."""
    found = await connection.execute(
        f"""
        SELECT m.market_id, o.outcome, o.evidence_hash FROM markets m CROSS JOIN LATERAL ({_IN_FORCE}) o
        WHERE m.resolution IS NULL AND m.resolves_after_ms <= %s AND m.state NOT IN ('DRAFT', 'ARCHIVED')
        ORDER BY m.resolves_after_ms, m.market_id LIMIT %s
        """,  # noqa: S608 - the part is a constant
        (now_ms, limit),
    )
    return [Due(r["market_id"], r["outcome"], bytes(r["evidence_hash"])) for r in await found.fetchall()]


@dataclass(frozen=True, slots=True)
class EpochRow:
    """An epoch that may need a crank."""

    catalog: str
    epoch_id: int


async def stuck_epochs(connection: Connection, now_ms: int, limit: int) -> list[EpochRow]:
    """Epochs past their commit deadline that are neither final nor expired, oldest first."""
    found = await connection.execute(
        """
        SELECT catalog, epoch_id FROM epochs
        WHERE status IN ('open', 'committing', 'revealing') AND NOT closed AND commit_deadline_ms < %s
        ORDER BY catalog, epoch_id LIMIT %s
        """,
        (now_ms, limit),
    )
    return [EpochRow(**row) for row in await found.fetchall()]


async def closable_epochs(connection: Connection, before_ms: int, limit: int) -> list[EpochRow]:
    """Epochs whose reveal deadline passed before `before_ms` and whose accounts are still there."""
    found = await connection.execute(
        """
        SELECT catalog, epoch_id FROM epochs
        WHERE status IN ('finalized', 'expired') AND NOT closed AND commitment = 'finalized' AND reveal_deadline_ms < %s
        ORDER BY window_end_ms, catalog LIMIT %s
        """,
        (before_ms, limit),
    )
    return [EpochRow(**row) for row in await found.fetchall()]


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
