"""Epochs that were announced: what is said of them is no secret any more."""

from m0common.store.postgres import Connection


async def announced(connection: Connection, since_ms: int) -> dict[str, set[int]]:
    """By catalog the ends (UTC milliseconds) of the windows of final epochs that were published, from `since_ms` on."""
    found = await connection.execute(
        "SELECT catalog, window_end_ms FROM epochs WHERE published AND window_end_ms >= %s", (since_ms,)
    )
    ends: dict[str, set[int]] = {}
    for row in await found.fetchall():
        ends.setdefault(row["catalog"], set()).add(row["window_end_ms"])
    return ends
