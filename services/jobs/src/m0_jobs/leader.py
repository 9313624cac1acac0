"""One leader among all jobs processes: who holds a Postgres advisory lock on a connection of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
from m0common.errors import Unavailable
from m0common.secret import SecretDsn
from m0common.store.address import address
from m0common.tasks import end_task

LOCK = 0x6D30_6A6F_6273  # "m0jobs"
_CONNECT_S = 5
_CHECK_S = 2.0


class Leadership:
    """Held until the block ends or the connection does; `lost` is set when it ends by itself."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()


@contextlib.asynccontextmanager
async def leadership(dsn: SecretDsn, *, check_s: float = _CHECK_S) -> AsyncIterator[Leadership | None]:
    """The leadership, None when another process has it. Raises Unavailable without a database.

    The lock goes with the connection: a leader that dies, even by kill -9, is replaced as soon as the server notices.
    """
    try:
        connection = await psycopg.AsyncConnection.connect(
            address(dsn), autocommit=True, connect_timeout=_CONNECT_S, application_name="m0-jobs-leader",
            keepalives_idle=2, keepalives_interval=2, keepalives_count=3,
        )  # fmt: skip
        row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,))).fetchone()
    except psycopg.OperationalError as error:
        raise Unavailable(f"Postgres does not answer: {dsn.scrub(str(error))}") from error
    try:
        if row is None or not row[0]:
            yield None
            return
        held = Leadership()
        watch = asyncio.create_task(_watch(connection, held, check_s))
        try:
            yield held
        finally:
            await end_task(watch)
    finally:
        await connection.close()


async def _watch(connection: psycopg.AsyncConnection, held: Leadership, check_s: float) -> None:
    while True:
        await asyncio.sleep(check_s)
        try:
            async with asyncio.timeout(_CONNECT_S):
                await connection.execute("SELECT 1")
        except (psycopg.Error, TimeoutError):
            held.lost.set()
            return
