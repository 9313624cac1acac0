"""The tables of the index as files: which of them nothing else can give back, and how rows are taken out and put in.

Rows travel as Postgres' own text format of COPY, so what is put in is what was taken out, whatever the type.
"""

from collections.abc import AsyncIterator, Sequence

from m0common.errors import SettingsError
from m0common.store.postgres import Connection
from psycopg import sql

KEPT = ("outcomes", "scores")
"""What neither the chain nor the log gives back once Kafka's retention is over: results as they came, with their
evidence, and how well predictions did that are not in the log any more.
"""
REBUILT = {
    "bundles": "m0.headers and m0.bundles",
    "catalogs": "the chain",
    "chain_events": "the chain",
    "chain_transactions": "the chain",
    "cursors": "the chain",
    "epoch_signers": "the chain",
    "epochs": "the chain",
    "leaves": "m0.headers and m0.bundles",
    "markets": "the chain",
    "outbox": "what it holds is said again by who fills it",
    "pieces": "m0.bundles",
    "positions": "the log, read again",
    "provisional": "m0.provisional",
    "signer_sets": "the chain",
    "waiting_headers": "m0.headers",
}
"""The other tables, and what they are made of again."""
AGING = ("bundles", "leaves")
"""Those of them that the log gives back only as far as it goes."""
NEVER = ("alembic_version", "schema_terms", "leases")
"""The schema's own, which migrations write, and who leads, which is nobody in another database."""


async def tables(connection: Connection) -> list[str]:
    """Every table that a full backup has, those that others refer to first."""
    found = await connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND NOT tablename = ANY(%s) ORDER BY 1",
        (list(NEVER),),
    )
    return [row["tablename"] for row in await found.fetchall()]


async def columns(connection: Connection, table: str) -> list[str]:
    """The columns of a table, without those that Postgres computes from others."""
    found = await connection.execute(
        """
        SELECT column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position
        """,
        (table,),
    )
    return [row["column_name"] for row in await found.fetchall()]


async def count(connection: Connection, table: str) -> int:
    """How many rows a table has."""
    found = await connection.execute(sql.SQL("SELECT count(*) AS n FROM {}").format(sql.Identifier(table)))
    row = await found.fetchone()
    assert row is not None
    return int(row["n"])


async def taken_out(connection: Connection, table: str, names: Sequence[str]) -> AsyncIterator[bytes]:
    """The rows of a table as COPY writes them, in order."""
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    statement = sql.SQL("COPY (SELECT {} FROM {} ORDER BY {}) TO STDOUT").format(listed, sql.Identifier(table), listed)
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        async for chunk in copy:
            yield bytes(chunk)


async def put_in(connection: Connection, table: str, names: Sequence[str], rows: AsyncIterator[bytes]) -> int:
    """Put rows into a table that are not there yet; how many those were. Raises SettingsError for a table or columns
    that this schema does not have.
    """
    unknown = sorted(set(names) - set(await columns(connection, table)))
    if unknown or not names:
        raise SettingsError(
            f"table {table} of the backup has columns {', '.join(unknown) or 'none'} that this schema does not have: "
            "restore with the version that made the backup, or a newer one"
        )
    where, beside = sql.Identifier(table), sql.Identifier(f"restored_{table}")
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    await connection.execute(sql.SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DROP").format(beside, where))
    for name in await _identities(connection, table):
        await connection.execute(
            sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(beside, sql.Identifier(name))
        )
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(beside, listed)
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        async for chunk in rows:
            await copy.write(chunk)
    done = await connection.execute(
        sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} ON CONFLICT DO NOTHING").format(
            where, listed, listed, beside
        )
    )
    for name in await _identities(connection, table):
        await connection.execute(
            sql.SQL("SELECT setval(pg_get_serial_sequence({}, {}), greatest((SELECT max({}) FROM {}), 1))").format(
                sql.Literal(table), sql.Literal(name), sql.Identifier(name), where
            )
        )
    if table == "outcomes":
        await connection.execute(
            "SELECT setval('outcomes_position', greatest((SELECT max(position) FROM outcomes), 1))"
        )
    return done.rowcount


async def emptied(connection: Connection, names: Sequence[str]) -> None:
    """Take every row out of these tables; numbers begin anew."""
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    await connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(listed))


async def newer_out(connection: Connection, since_ms: int) -> None:
    """Take the bundles whose windows end at `since_ms` or later out, and with them their leaves."""
    await connection.execute("DELETE FROM bundles WHERE window_end_ms >= %s", (since_ms,))


async def _identities(connection: Connection, table: str) -> list[str]:
    found = await connection.execute(
        """
        SELECT column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name = %s AND is_identity = 'YES'
        """,
        (table,),
    )
    return [row["column_name"] for row in await found.fetchall()]
