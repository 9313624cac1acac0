"""The Postgres pool: one per process, opened when the process starts."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import LiteralString

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from m0common.errors import DeadLetterError, Unavailable
from m0common.settings import Postgres
from m0common.store.bounded import BoundedConnection

Connection = psycopg.AsyncConnection[DictRow]
"""A connection whose rows are dicts by column name."""
Row = DictRow
Pool = AsyncConnectionPool[Connection]
SCHEMA_CHANGED = (
    psycopg.NotSupportedError,  # "cached plan must not change result type"
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InvalidSchemaName,
)
"""What a statement that was well a moment ago meets when the schema is changed, or taken away, beside it."""
SPARE_MS = 500
"""By so much the server is given the chance to end a statement itself before its connection is closed."""

PREPARE_AFTER = 5
"""A statement that has been said so often on a connection is prepared there."""


def pool(settings: Postgres, *, name: str, min_size: int = 1, reading: bool = False, session: bool = True) -> Pool:
    """A pool that is not yet open; `name` shows in pg_stat_activity. The address is asked for at each connect.

    Connections are checked before they are lent; a `reading` pool, for `fetch` alone, saves that and transactions, and
    gives up after `answer_timeout_ms`. A connection that does not answer in time is closed.
    Without `session` nothing is asked of the server that lasts longer than a transaction (prepared statements, time
    zone, time-outs): a transaction pooler may stand in between.
    """
    timeout_ms = settings.answer_timeout_ms if reading else settings.connect_timeout_ms
    statement_ms = settings.answer_timeout_ms if reading else settings.statement_timeout_ms

    async def address() -> str:
        try:
            return settings.dsn.reveal()
        except Unavailable as error:
            raise psycopg.OperationalError(str(error)) from None  # the pool tries again after what psycopg raises

    async def bound(connection: Connection) -> None:
        assert isinstance(connection, BoundedConnection)
        connection.answer_s = (statement_ms + SPARE_MS) / 1000

    return AsyncConnectionPool(
        address,
        connection_class=BoundedConnection,
        configure=bound,
        kwargs={
            "row_factory": dict_row,
            "application_name": name,
            "connect_timeout": max(1, timeout_ms // 1000),
            "autocommit": reading,
            "prepare_threshold": PREPARE_AFTER if session else None,
            "options": f"-c statement_timeout={statement_ms} -c timezone=UTC" if session else "",
        },
        min_size=min_size,
        max_size=settings.pool_max,
        timeout=timeout_ms / 1000,
        check=None if reading else AsyncConnectionPool.check_connection,
        name=name,
        open=False,
    )


@asynccontextmanager
async def opened(
    settings: Postgres, *, name: str, min_size: int = 1, reading: bool = False, session: bool = True
) -> AsyncIterator[Pool]:
    """A pool for the length of the block."""
    made = pool(settings, name=name, min_size=min_size, reading=reading, session=session)
    await made.open(wait=False)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """A connection inside a transaction that commits when the block ends and rolls back when it raises.

    Raises Unavailable when the database does not answer or goes away meanwhile, and when its schema changed under a
    statement: said again, over another connection, it is well, or waits until there is a schema.
    """
    try:
        async with pool.connection() as connection:
            try:
                async with connection.transaction():
                    yield connection
            except SCHEMA_CHANGED:
                await connection.close()  # with the plans that it remembers
                raise
    except SCHEMA_CHANGED as error:
        raise Unavailable(f"the schema is another one than a moment ago: {error}") from error
    except PoolTimeout as error:
        raise Unavailable(f"no connection to Postgres within {pool.timeout:.0f} s: {error}; check M0_PG_DSN") from error
    except psycopg.OperationalError as error:
        raise Unavailable(f"Postgres went away: {error}") from error


@contextmanager
def storable() -> Iterator[None]:
    """Around the transaction of one message: what the database refuses about its values is a DeadLetterError.

    The reader's own checks come first and say more; behind this nothing in a message can end its reader.
    """
    try:
        yield
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise DeadLetterError("not_storable", f"the database refuses a value: {error}") from error


async def fetch(
    pool: Pool, statement: LiteralString, params: Mapping[str, object] | Sequence[object] = ()
) -> list[Row]:
    """All rows of one reading statement, in one round trip; tried again on connections that turn out to be dead, and
    without the plan of one that is from before a migration.

    Raises Unavailable when the database does not answer, or has not the schema for it.
    """
    clock = asyncio.get_running_loop().time
    give_up_s = clock() + pool.timeout
    for attempt in range(pool.max_size + 1):
        try:
            async with pool.connection() as connection:
                try:
                    return await (await connection.execute(statement, params)).fetchall()
                except psycopg.NotSupportedError:  # its plan is from before a migration
                    rows = await (await connection.execute(statement, params, prepare=False)).fetchall()
                    await connection.close()  # with the other plans that it remembers
                    return rows
        except PoolTimeout as error:
            raise Unavailable(f"no connection to Postgres within {pool.timeout} s: check M0_PG_DSN") from error
        except SCHEMA_CHANGED as error:
            what = str(error).partition("\n")[0]
            raise Unavailable(f"the schema has not what is asked for: {what}: start this version's indexer") from error
        except psycopg.OperationalError as error:
            over = attempt == pool.max_size or clock() >= give_up_s
            if over or isinstance(error, psycopg.errors.QueryCanceled):
                raise Unavailable(f"Postgres went away: {error}") from error
    raise AssertionError("the last attempt returns or raises")


async def fetch_one(
    pool: Pool, statement: LiteralString, params: Mapping[str, object] | Sequence[object] = ()
) -> Row | None:
    """The first row, None when there is none; see `fetch`."""
    return next(iter(await fetch(pool, statement, params)), None)


async def ping(pool: Pool) -> None:
    """Ask the database for an answer; raises Unavailable without one."""
    async with transaction(pool) as connection:
        await connection.execute("SELECT 1")
