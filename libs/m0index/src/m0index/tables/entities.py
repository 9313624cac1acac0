"""The tables that events add up to."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import LiteralString

import msgspec
from m0common.store.postgres import Connection
from psycopg import sql

from m0index.fold_epoch import EpochRows
from m0index.rows import CatalogRow, EpochRow, EpochSignerRow, MarketRow, SignerSetRow

PAGE = 1000


def _select(table: LiteralString, kind: type[msgspec.Struct], rest: LiteralString) -> sql.Composed:
    columns = [sql.Identifier(table, column) for column in kind.__struct_fields__]
    return sql.SQL("SELECT {} FROM {} ").format(sql.SQL(", ").join(columns), sql.Identifier(table)) + sql.SQL(rest)


def _upsert(table: LiteralString, kind: type[msgspec.Struct], key: Sequence[str]) -> sql.Composed:
    columns = kind.__struct_fields__
    rest = [column for column in columns if column not in key]
    return sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(map(sql.Placeholder, columns)),
        sql.SQL(", ").join(map(sql.Identifier, key)),
        sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(c)) for c in rest),
    )


_SIGNER_SET = _upsert("signer_sets", SignerSetRow, ["id"])
_CATALOG = _upsert("catalogs", CatalogRow, ["catalog"])
_MARKET = _upsert("markets", MarketRow, ["market_key"])
_EPOCH = _upsert("epochs", EpochRow, ["catalog", "epoch_id"])
_EPOCH_SIGNER = _upsert("epoch_signers", EpochSignerRow, ["catalog", "epoch_id", "signer"])
_SIGNER_SETS = _select("signer_sets", SignerSetRow, "")
_MARKETS = _select("markets", MarketRow, "WHERE market_key = ANY(%s::bytea[])")
_NEXT_MARKETS = _select("markets", MarketRow, "WHERE market_id > %s ORDER BY market_id LIMIT %s")
_EPOCHS = _select(
    "epochs",
    EpochRow,
    "JOIN unnest(%s::text[], %s::bigint[]) AS wanted (catalog, epoch_id) USING (catalog, epoch_id)",
)


async def _put(connection: Connection, statement: sql.Composed, rows: Iterable[msgspec.Struct]) -> None:
    async with connection.cursor() as cursor:
        await cursor.executemany(statement, [msgspec.structs.asdict(row) for row in rows])


async def put_signer_sets(connection: Connection, rows: Sequence[SignerSetRow]) -> None:
    """Write signer sets."""
    await _put(connection, _SIGNER_SET, rows)


async def drop_signer_sets(connection: Connection, ids: Sequence[int]) -> None:
    """Remove signer sets."""
    await connection.execute("DELETE FROM signer_sets WHERE id = ANY(%s)", (list(ids),))


async def put_catalogs(connection: Connection, rows: Sequence[CatalogRow]) -> None:
    """Write catalogs."""
    await _put(connection, _CATALOG, rows)


async def drop_catalogs(connection: Connection, names: Sequence[str]) -> None:
    """Remove catalogs."""
    await connection.execute("DELETE FROM catalogs WHERE catalog = ANY(%s)", (list(names),))


async def put_markets(connection: Connection, rows: Sequence[MarketRow]) -> None:
    """Write markets."""
    await _put(connection, _MARKET, rows)


async def drop_markets(connection: Connection, keys: Sequence[bytes]) -> None:
    """Remove markets."""
    await connection.execute("DELETE FROM markets WHERE market_key = ANY(%s::bytea[])", (list(keys),))


async def put_epoch(connection: Connection, rows: EpochRows) -> None:
    """Write an epoch and its signers; signers that are not among `rows` go."""
    await _put(connection, _EPOCH, [rows.epoch])
    await connection.execute(
        "DELETE FROM epoch_signers WHERE catalog = %s AND epoch_id = %s AND signer <> ALL(%s)",
        (rows.epoch.catalog, rows.epoch.epoch_id, [row.signer for row in rows.signers]),
    )
    await _put(connection, _EPOCH_SIGNER, rows.signers)


async def drop_epoch(connection: Connection, catalog: str, epoch_id: int) -> None:
    """Remove an epoch and its signers."""
    for statement in (
        "DELETE FROM epoch_signers WHERE catalog = %s AND epoch_id = %s",
        "DELETE FROM epochs WHERE catalog = %s AND epoch_id = %s",
    ):
        await connection.execute(statement, (catalog, epoch_id))


async def signer_sets(connection: Connection) -> dict[int, SignerSetRow]:
    """Every signer set by id."""
    found = await connection.execute(_SIGNER_SETS)
    return {row["id"]: msgspec.convert(row, SignerSetRow) for row in await found.fetchall()}


async def markets(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, MarketRow]:
    """Markets by key."""
    found = await connection.execute(_MARKETS, (list(keys),))
    return {row["market_key"]: msgspec.convert(row, MarketRow) for row in await found.fetchall()}


async def how_many(connection: Connection, at_most: int) -> tuple[int, int]:
    """Markets, and epochs that are not closed on chain; neither is counted beyond `at_most`."""
    found = await connection.execute(
        """
        SELECT (SELECT count(*) FROM (SELECT FROM markets LIMIT %(most)s) m) AS markets,
            (SELECT count(*) FROM (SELECT FROM epochs WHERE NOT closed LIMIT %(most)s) e) AS epochs
        """,
        {"most": at_most},
    )
    (row,) = await found.fetchall()
    return row["markets"], row["epochs"]


async def every_market(connection: Connection) -> AsyncIterator[list[MarketRow]]:
    """All markets by id, some at a time."""
    after = ""
    while rows := await (await connection.execute(_NEXT_MARKETS, (after, PAGE))).fetchall():
        yield [msgspec.convert(row, MarketRow) for row in rows]
        after = rows[-1]["market_id"]


async def epochs(connection: Connection, names: Sequence[tuple[str, int]]) -> dict[tuple[str, int], EpochRow]:
    """Epochs by catalog and id."""
    found = await connection.execute(_EPOCHS, ([n for n, _ in names], [i for _, i in names]))
    return {(row["catalog"], row["epoch_id"]): msgspec.convert(row, EpochRow) for row in await found.fetchall()}
