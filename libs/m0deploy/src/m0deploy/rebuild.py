"""The index made anew from the log and the chain, by those who always make it: its rows are taken out, and the indexer
and jobs find that it is an early one.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from m0common.clock import Clock
from m0common.errors import Unavailable
from m0common.settings import Postgres
from m0common.store import postgres
from m0common.store.postgres import Connection, Pool, transaction
from m0common.topics import BUNDLES, HEADERS, HOUR_MS
from m0index import keeping

from m0deploy.backup import patient

LOOK_S = 1.0
CURSORS = "cursors"
"""How far the chain is read, and which chain that is: the indexer says the latter only when it starts, so it stays."""
PASSING = ("outbox", "pieces", "provisional", "waiting_headers", "cursors", "positions")
"""Tables whose rows come and go; how many there are says nothing."""

SURE_MS = min(HEADERS.retention_ms, BUNDLES.retention_ms) - 24 * HOUR_MS
"""What is not older is in the log."""

Standing = dict[tuple[str, ...], int]
"""How far readers of the log and of the chain are."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Rows by table before and after, and how long it took until every reader was where it had been."""

    before: dict[str, int]
    after: dict[str, int]
    took_ms: int


async def rebuild(
    settings: Postgres, clock: Clock, *, everything: bool, timeout_s: float, says: Callable[[int, int], None]
) -> Rebuilt:
    """Empty the index and wait for it to be filled again. What nothing else gives back stays unless `everything`, as do
    bundles that the log may have forgotten.

    `says` is told how many readers of how many are where they were. Raises Unavailable when they are not in time, which
    loses nothing: they go on.
    """
    began_ms = clock.monotonic_ms()
    async with postgres.opened(patient(settings), name="m0-rebuild") as pool:
        async with transaction(pool) as connection:
            stays = {CURSORS, *(() if everything else (*keeping.KEPT, *keeping.AGING))}
            names = [name for name in await keeping.tables(connection) if name not in stays]
            before, wanted = await _counts(connection), await _standing(connection)
            await keeping.emptied(connection, names)
            if not everything:
                await keeping.newer_out(connection, clock.now_ms() - SURE_MS)
            await connection.execute("DELETE FROM cursors WHERE name LIKE 'chain:%'")
        deadline_ms = began_ms + timeout_s * 1000
        while left := await _behind(pool, wanted):
            says(len(wanted) - left, len(wanted))
            if clock.monotonic_ms() > deadline_ms:
                raise Unavailable(
                    f"{left} of {len(wanted)} readers are not where they were after {timeout_s:.0f} s: they go on; see "
                    "/ready of indexer and jobs"
                )
            await asyncio.sleep(LOOK_S)
        async with transaction(pool) as connection:
            return Rebuilt(before, await _counts(connection), clock.monotonic_ms() - began_ms)


async def _behind(pool: Pool, wanted: Standing) -> int:
    try:
        async with transaction(pool) as connection:
            now = await _standing(connection)
    except Unavailable:
        return len(wanted)
    return sum(now.get(reader, -1) < at for reader, at in wanted.items())


async def _standing(connection: Connection) -> Standing:
    log = await (
        await connection.execute("SELECT reader, topic, partition, cluster, next_offset FROM positions")
    ).fetchall()
    chain = await (await connection.execute("SELECT name, slot FROM cursors WHERE name LIKE 'chain:%'")).fetchall()
    return {(r["reader"], r["topic"], str(r["partition"]), r["cluster"]): r["next_offset"] for r in log} | {
        (row["name"],): row["slot"] for row in chain
    }


async def _counts(connection: Connection) -> dict[str, int]:
    names = [name for name in await keeping.tables(connection) if name not in PASSING]
    return {name: await keeping.count(connection, name) for name in names}
