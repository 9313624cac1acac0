"""Whether a transaction pooler stands before Postgres, for those whose work needs a session of their own.

Behind one each transaction may run on another server connection: LISTEN is heard by nobody, a session's lock is left
with whoever comes next. Leases and plain transactions work there.
"""

import asyncio
import contextlib

import psycopg

from m0common.errors import SettingsError, Unavailable
from m0common.secret import SecretDsn
from m0common.store.address import address
from m0common.store.bounded import BoundedConnection, connected

LOOKS = 5
ANSWER_S = 10


async def refuse_pooler(dsn: SecretDsn, why: str) -> None:
    """Raise SettingsError when two clients at this address are given one server connection, or one client two.

    `why` says what needs a session. An address that does not answer is left to whoever connects next.
    """
    with contextlib.suppress(TimeoutError, psycopg.OperationalError, Unavailable):
        async with asyncio.timeout(ANSWER_S):
            address(dsn)
            if await _shares_sessions(dsn):
                raise SettingsError(
                    f"M0_PG_DSN leads to a transaction pooler, and {why}: give this service the address of Postgres "
                    "itself, or of a pool in session mode"
                )


async def _shares_sessions(dsn: SecretDsn) -> bool:
    async with await connected(dsn, "m0-one", ANSWER_S) as one, await connected(dsn, "m0-other", ANSWER_S) as other:
        for _ in range(LOOKS):
            mine = await _backend(one)
            async with other.transaction():  # holds its connection while `one` asks for one again
                if await _backend(other) == mine or await _backend(one) != mine:
                    return True
    return False


async def _backend(connection: BoundedConnection) -> int:
    row = await (await connection.execute("SELECT pg_backend_pid() AS pid")).fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    return int(row["pid"])
