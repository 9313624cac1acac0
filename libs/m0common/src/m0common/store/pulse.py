"""Whether the database that a process stands on answers; see m0common.pulse."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg

from m0common import pulse
from m0common.errors import Unavailable
from m0common.pulse import PATIENCE_S
from m0common.secret import SecretDsn
from m0common.store.bounded import BoundedConnection, connected
from m0common.store.postgres import Connection

ANSWER_S = 2
"""A database that takes longer, to connect or to answer, has not answered."""

Ask = Callable[[Connection], Awaitable[str | None]]
"""Asks the database something; what is wrong with what it says, None when all is well."""


async def answers(connection: Connection) -> str | None:
    """Nothing is asked for but an answer."""
    await connection.execute("SELECT 1")
    return None


class Pulse(pulse.Pulse):
    """Asks over a connection of its own, which no slow statement holds up."""

    def __init__(
        self, dsn: SecretDsn, name: str, ask: Ask = answers, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(2 * ANSWER_S, seconds)
        self._dsn, self._name, self._ask = dsn, name, ask
        self._connection: BoundedConnection | None = None
        self._silent: str | None = None
        self._wrong: str | None = "Postgres was not asked yet"

    def problem(self) -> str | None:
        """See m0common.pulse.Pulse."""
        if (silent_s := self.silent_s()) > PATIENCE_S:
            why = self._silent or f"nothing within {ANSWER_S} s"
            return f"Postgres has not answered for {silent_s:.0f} s: {why}; check M0_PG_DSN"
        return self._wrong

    async def beat(self) -> None:
        """See m0common.pulse.Pulse."""
        try:
            if self._connection is None:
                self._connection = await connected(self._dsn, f"{self._name}-pulse", ANSWER_S)
            self._wrong = await self._ask(self._connection)
        except (psycopg.OperationalError, psycopg.InterfaceError, Unavailable) as error:
            self._silent = self._dsn.scrub(str(error).partition("\n")[0])
            self.unanswered()
            await self.close()
            return
        self._silent = None
        self.answered()

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


@contextlib.asynccontextmanager
async def database_pulse(dsn: SecretDsn, name: str, ask: Ask = answers) -> AsyncIterator[Pulse]:
    """A pulse of the database at `dsn`; whoever opens it runs it."""
    made = Pulse(dsn, name, ask)
    try:
        yield made
    finally:
        await made.close()
