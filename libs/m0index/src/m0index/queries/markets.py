"""Markets from the index."""

from typing import Any

from m0common.store.postgres import Pool, fetch, fetch_one

_COLUMNS = """
    market_id, catalog, market_group AS "group", title, outcomes, state, schema_version, opens_ms, resolves_after_ms,
    resolution, resolved_ms, commitment
"""


async def listed(
    pool: Pool, catalog: str | None, state: str | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Markets by id after `after`."""
    return await fetch(
        pool,
        f"""
            SELECT {_COLUMNS} FROM markets
            WHERE (%(catalog)s::text IS NULL OR catalog = %(catalog)s)
              AND (%(state)s::text IS NULL OR state = %(state)s)
              AND (%(after)s::text IS NULL OR market_id > %(after)s)
            ORDER BY market_id LIMIT %(limit)s
            """,  # noqa: S608 - the columns are a constant
        {"catalog": catalog, "state": state, "after": after, "limit": limit},
    )


async def one(pool: Pool, market_id: str) -> dict[str, Any] | None:
    """A market, None when there is none."""
    statement = f"SELECT {_COLUMNS} FROM markets WHERE market_id = %s"  # noqa: S608 - the columns are a constant
    return await fetch_one(pool, statement, (market_id,))
