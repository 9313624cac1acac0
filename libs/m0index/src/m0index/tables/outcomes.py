"""What came true, as `m0.outcomes` says it, and the markets that can be resolved with it."""

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
