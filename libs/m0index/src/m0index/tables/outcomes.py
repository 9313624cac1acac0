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
    SELECT o.outcome, o.evidence_hash, o.received_ms FROM outcomes o
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
    resolves_after_ms: int
    outcome: int
    evidence_hash: bytes


_UNRESOLVED = "m.resolution IS NULL AND m.resolves_after_ms <= %s AND m.state NOT IN ('DRAFT', 'ARCHIVED')"
"""DRAFT and ARCHIVED ones cannot be resolved."""


async def due_for_resolution(
    connection: Connection, now_ms: int, said_by_ms: int, behind: tuple[int, str], limit: int
) -> list[Due]:
    """Markets behind one (by time and id) that the index does not show as resolved and whose outcome has stood since
    `said_by_ms`: until then a correction may come.
    """
    found = await connection.execute(
        f"""
        SELECT m.market_id, m.resolves_after_ms, o.outcome, o.evidence_hash
        FROM markets m CROSS JOIN LATERAL ({_IN_FORCE}) o
        WHERE {_UNRESOLVED} AND (m.resolves_after_ms, m.market_id) > (%s, %s) AND o.received_ms <= %s
        ORDER BY m.resolves_after_ms, m.market_id LIMIT %s
        """,  # noqa: S608 - the parts are constants
        (now_ms, *behind, said_by_ms, limit),
    )
    return [Due(**{**row, "evidence_hash": bytes(row["evidence_hash"])}) for row in await found.fetchall()]


class Unresolved(NamedTuple):
    """How many markets are due and not resolved, of at most as many as were looked at."""

    without_outcome: int
    with_outcome: int


async def unresolved(connection: Connection, now_ms: int, limit: int) -> Unresolved:
    """Count the markets that are due and not resolved, the oldest `limit` of them."""
    found = await connection.execute(
        f"""
        SELECT count(*) FILTER (WHERE o.outcome IS NULL) AS without_outcome, count(o.outcome) AS with_outcome
        FROM (
            SELECT m.market_id, m.catalog, m.outcomes FROM markets m WHERE {_UNRESOLVED}
            ORDER BY m.resolves_after_ms, m.market_id LIMIT %s
        ) m LEFT JOIN LATERAL ({_IN_FORCE}) o ON true
        """,  # noqa: S608 - the parts are constants
        (now_ms, limit),
    )
    row = await found.fetchone()
    assert row is not None, "an aggregate has one row"
    return Unresolved(**row)
