"""Markets from the index."""

from collections.abc import Mapping
from typing import Any, LiteralString

from m0common.store.postgres import Pool, fetch, fetch_one

from m0index.queries import narrowed

_COLUMNS = """
    market_id, catalog, market_group AS "group", title, outcomes, state, schema_version, opens_ms, resolves_after_ms,
    resolution, resolved_ms, commitment
"""


_WHERE: Mapping[str, LiteralString] = {
    "catalog": "catalog = %(catalog)s",
    "state": "state = %(state)s",
    "after": "market_id > %(after)s",
}


async def listed(
    pool: Pool, catalog: str | None, state: str | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Markets by id after `after`."""
    asked = {"catalog": catalog, "state": state, "after": after}
    statement = f"SELECT {_COLUMNS} FROM markets {narrowed(_WHERE, asked)} ORDER BY market_id LIMIT %(limit)s"  # noqa: S608 - of constants
    return await fetch(pool, statement, asked | {"limit": limit})


async def one(pool: Pool, market_id: str) -> dict[str, Any] | None:
    """A market, None when there is none."""
    statement = f"SELECT {_COLUMNS} FROM markets WHERE market_id = %s"  # noqa: S608 - of constants
    return await fetch_one(pool, statement, (market_id,))
