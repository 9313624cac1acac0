"""Epochs that nobody finished, and those whose accounts nobody needs any more."""

from dataclasses import dataclass

from m0common.store.postgres import Connection


@dataclass(frozen=True, slots=True)
class OverdueEpoch:
    """An epoch that may need a crank."""

    catalog: str
    epoch_id: int
    window_end_ms: int


async def stuck_epochs(connection: Connection, now_ms: int, behind: tuple[str, int], limit: int) -> list[OverdueEpoch]:
    """Epochs behind one (by catalog and number) that are past their commit deadline and neither final nor expired."""
    found = await connection.execute(
        """
        SELECT catalog, epoch_id, window_end_ms FROM epochs
        WHERE status IN ('open', 'committing', 'revealing') AND NOT closed AND commit_deadline_ms < %s
          AND (catalog, epoch_id) > (%s, %s)
        ORDER BY catalog, epoch_id LIMIT %s
        """,
        (now_ms, *behind, limit),
    )
    return [OverdueEpoch(**row) for row in await found.fetchall()]


async def closable_epochs(
    connection: Connection, before_ms: int, behind: tuple[int, str], limit: int
) -> list[OverdueEpoch]:
    """Epochs behind one (by window's end and catalog), their reveal deadline before `before_ms`, whose accounts
    are still there.
    """
    found = await connection.execute(
        """
        SELECT catalog, epoch_id, window_end_ms FROM epochs
        WHERE status IN ('finalized', 'expired') AND NOT closed AND commitment = 'finalized' AND reveal_deadline_ms < %s
          AND (window_end_ms, catalog) > (%s, %s)
        ORDER BY window_end_ms, catalog LIMIT %s
        """,
        (before_ms, *behind, limit),
    )
    return [OverdueEpoch(**row) for row in await found.fetchall()]
