"""Epochs that nobody finished, and those whose accounts nobody needs any more."""

from dataclasses import dataclass

from m0common.store.postgres import Connection


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
