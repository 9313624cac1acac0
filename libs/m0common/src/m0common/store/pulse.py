"""Whether the database that a process stands on answers, so that its readiness says so within seconds, whoever asks."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg

from m0common.errors import Unavailable
from m0common.secret import SecretDsn
from m0common.store.bounded import BoundedConnection, connected
from m0common.store.postgres import Connection
from m0common.tasks import end_task

EVERY_S = 1.0
ANSWER_S = 2
"""A database that takes longer, to connect or to answer, has not answered."""
PATIENCE_S = 3.5
"""For so long a database may be silent before it is a problem: one lost connection is none."""

Ask = Callable[[Connection], Awaitable[str | None]]
"""Asks the database something; what is wrong with what it says, None when all is well."""


async def answers(connection: Connection) -> str | None:
    """Nothing is asked for but an answer."""
    await connection.execute("SELECT 1")
    return None


class Pulse:
    """Asks once a second over a connection of its own, which no slow statement holds up."""

    def __init__(
        self, dsn: SecretDsn, name: str, ask: Ask = answers, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._dsn, self._name, self._ask, self._seconds = dsn, name, ask, seconds
        self._connection: BoundedConnection | None = None
        self._answered_s = self._beat_s = seconds()
        self._silent: str | None = None
        self._wrong: str | None = "Postgres was not asked yet"

    def problem(self) -> str | None:
        """One sentence, None while the database is well."""
        # a process that has not come to ask says nothing of the database
        now_s = min(self._seconds(), self._beat_s + EVERY_S + 2 * ANSWER_S)
        if now_s - self._answered_s > PATIENCE_S:
            why = self._silent or f"nothing within {ANSWER_S} s"
            return f"Postgres has not answered for {now_s - self._answered_s:.0f} s: {why}; check M0_PG_DSN"
        return self._wrong

    async def beat(self) -> None:
        """Ask once."""
        try:
            if self._connection is None:
                self._connection = await connected(self._dsn, f"{self._name}-pulse", ANSWER_S)
            self._wrong = await self._ask(self._connection)
        except (psycopg.OperationalError, psycopg.InterfaceError, Unavailable) as error:
            self._silent, self._beat_s = self._dsn.scrub(str(error).partition("\n")[0]), self._seconds()
            await self.close()
            return
        self._silent, self._answered_s = None, self._seconds()
        self._beat_s = self._answered_s

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(EVERY_S)

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


@contextlib.asynccontextmanager
async def beating(dsn: SecretDsn, name: str, ask: Ask = answers) -> AsyncIterator[Pulse]:
    """A pulse of the database at `dsn`, taken as long as the block lasts."""
    pulse = Pulse(dsn, name, ask)
    task = asyncio.create_task(pulse.run(), name="pulse of Postgres")
    try:
        yield pulse
    finally:
        await end_task(task)
        await pulse.close()
