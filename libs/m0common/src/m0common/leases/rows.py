"""Leases as rows of Postgres, by its clock.

Each statement is a transaction of its own: a holder that is stopped leaves none open that its successor would wait for,
and a transaction pooler may stand in between.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import psycopg

from m0common.errors import Fenced, Unavailable
from m0common.leases.port import Lease
from m0common.settings import Postgres
from m0common.store import postgres
from m0common.store.address import address
from m0common.store.postgres import Connection, Pool, fetch, transaction
from m0common.tasks import leave_behind

T = TypeVar("T")

ANSWER_S = 2.0
"""A store that has not answered by then is away, whatever the connection's own time-outs are."""
CONNECTIONS = 2

_LOOK = "SELECT holder, fence FROM leases WHERE name = %(name)s AND until > clock_timestamp()"
_TAKE = """
    INSERT INTO leases AS l (name, holder, fence, until)
    VALUES (%(name)s, %(holder)s, 1, clock_timestamp() + %(ttl)s * interval '1 millisecond')
    ON CONFLICT (name) DO UPDATE SET
        holder = excluded.holder, fence = l.fence + 1,
        until = clock_timestamp() + %(ttl)s * interval '1 millisecond'
    WHERE l.until <= clock_timestamp()
    RETURNING holder, fence
"""
_RENEW = """
    UPDATE leases SET until = clock_timestamp() + %(ttl)s * interval '1 millisecond'
    WHERE name = %(name)s AND holder = %(holder)s AND fence = %(fence)s
    RETURNING fence
"""
STATEMENT_MS = 30_000
"""After this the server ends a statement of a fenced transaction."""
IDLE_MS = 5_000
"""A fenced transaction whose process says nothing for so long is ended by the server: its successor waits for it."""


@contextlib.asynccontextmanager
async def opened(settings: Postgres, name: str) -> AsyncIterator["PostgresLeases"]:
    """Leases on connections of their own, so that no other work of the process `name` holds a renewal up.

    Raises SettingsError when the address is none.
    """
    with contextlib.suppress(Unavailable):  # a file that cannot be read now is read again at each connect
        address(settings.dsn)
    few = settings.model_copy(update={"pool_max": CONNECTIONS})
    async with postgres.opened(few, name=f"{name}-leases", reading=True, session=False) as pool:
        yield PostgresLeases(pool)


class PostgresLeases:
    """See Leases. `pool` is a reading one, whose statements commit by themselves."""

    def __init__(self, pool: Pool, answer_s: float = ANSWER_S) -> None:
        self._pool = pool
        self._answer_s = answer_s

    async def take(self, name: str, holder: str, ttl_ms: int) -> Lease:
        """See Leases."""
        return await self._within(self._take(name, holder, ttl_ms))

    async def renew(self, lease: Lease, ttl_ms: int) -> bool:
        """See Leases."""
        return await self._within(self._renew(lease, ttl_ms))

    async def release(self, lease: Lease) -> None:
        """See Leases."""
        await self._within(self._renew(lease, 0))

    async def _take(self, name: str, holder: str, ttl_ms: int) -> Lease:
        values = {"name": name, "holder": holder, "ttl": ttl_ms}
        while True:
            # looking first: an upsert locks the row also where it changes nothing
            found = await fetch(self._pool, _LOOK, values) or await fetch(self._pool, _TAKE, values)
            if found:
                return Lease(name, found[0]["holder"], found[0]["fence"])

    async def _renew(self, lease: Lease, ttl_ms: int) -> bool:
        return bool(await fetch(self._pool, _RENEW, {**lease._asdict(), "ttl": ttl_ms}))

    async def _within(self, asking: Coroutine[Any, Any, T]) -> T:
        """What a question answers. The pool may lose a cancellation, so nobody waits for the task to end."""
        task = asyncio.ensure_future(asking)
        try:
            await asyncio.wait([task], timeout=self._answer_s)
        finally:
            if not task.done():
                leave_behind(task)
        if not task.done():
            raise Unavailable(f"Postgres does not answer about leases within {self._answer_s:.0f} s: check M0_PG_DSN")
        return task.result()


@contextlib.asynccontextmanager
async def fenced(pool: Pool, lease: Lease, idle_ms: int = IDLE_MS) -> AsyncIterator[Connection]:
    """A transaction of the holder of `lease`, as `postgres.transaction`; whoever takes the lease waits for its end.

    The server ends it when this process says nothing for `idle_ms`.

    Raises Fenced when somebody else has the lease by now, Unavailable.
    """
    try:
        async with transaction(pool) as connection:
            found = await connection.execute(
                """
                SELECT set_config('idle_in_transaction_session_timeout', %(idle)s, true),
                    set_config('statement_timeout', %(statement)s, true)
                FROM leases
                WHERE name = %(name)s AND holder = %(holder)s AND fence = %(fence)s
                FOR SHARE
                """,
                {**lease._asdict(), "idle": str(idle_ms), "statement": str(STATEMENT_MS)},
            )
            if await found.fetchone() is None:
                raise Fenced(f"another process has lease {lease.name}: this one, holder number {lease.fence}, is over")
            yield connection
    except psycopg.errors.IdleInTransactionSessionTimeout as error:
        raise Unavailable(f"a transaction of lease {lease.name} said nothing for {idle_ms} ms") from error
