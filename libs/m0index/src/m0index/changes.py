"""Telling readers that the index changed, through Postgres itself: NOTIFY is delivered when the transaction commits.

A connection that is open is not one that hears. A listener believes its connection only while it hears its own voice: a
notification that the process sends itself through another connection. Behind a pooler that lends connections by
transaction it never does, and says so.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable

import psycopg
from m0common.errors import Unavailable
from m0common.secret import SecretDsn
from m0common.store.bounded import BoundedConnection, connected
from m0common.store.postgres import Connection, Pool, fetch
from m0common.telemetry.logs import logger

CHANNEL = "m0_index"
SPEAK_EVERY_S = 1.0
HEARD_S = 3.0
"""Who has not heard itself for so long is deaf."""
ANSWER_S = 2
TURN_S = 0.5
RETRY_S = 1.0
MUTE = (
    f"the connection has not heard what the process itself says for {HEARD_S:.0f} s: "
    "let M0_PG_DSN lead to Postgres, or to a pooler that lends connections by session"
)

_log = logger(__name__)


async def notify(connection: Connection) -> None:
    """Wake everyone who listens once this transaction is committed."""
    await connection.execute(f"NOTIFY {CHANNEL}")


class Listener:
    """Hears of changes over a connection of its own at `dsn`; `name` shows in pg_stat_activity."""

    def __init__(self, dsn: SecretDsn, name: str) -> None:
        self._dsn, self._name = dsn, f"{name}-listener"
        self._voice = f"m0_voice_{secrets.token_hex(8)}"
        self._heard_s: float | None = None
        self._why = "not listened yet"

    def hearing(self) -> bool:
        """Whether every change that was committed more than HEARD_S ago has been told of."""
        return self._heard_s is not None and asyncio.get_running_loop().time() - self._heard_s <= HEARD_S

    def problem(self) -> str | None:
        """One sentence when changes are not heard of."""
        if self.hearing():
            return None
        return f"changes of the index are not heard of: {self._why}"

    async def run(self, pool: Pool, on_change: Callable[[], None], stop: asyncio.Event) -> None:
        """Call `on_change` after every commit that told of itself, and whenever hearing begins; until `stop`.

        The own voice goes through `pool`.
        """
        speaking = asyncio.create_task(self._speak(pool, stop))
        while not stop.is_set():
            try:
                async with await connected(self._dsn, self._name, ANSWER_S) as connection:
                    await self._listen(connection, on_change, stop)
            except (psycopg.OperationalError, psycopg.InterfaceError, Unavailable) as error:
                self._why = self._dsn.scrub(str(error).partition("\n")[0])
            self._heard_s = None
            if not stop.is_set():
                _log.warning("deaf", channel=CHANNEL, reason=self._why)
                await _pause(stop, RETRY_S)
        await speaking

    async def _listen(self, connection: BoundedConnection, on_change: Callable[[], None], stop: asyncio.Event) -> None:
        """Returns when `stop` is set or the own voice has not been heard for too long."""
        await connection.execute(f"LISTEN {CHANNEL}")
        await connection.execute(f"LISTEN {self._voice}")
        clock = asyncio.get_running_loop().time
        since_s = clock()
        self._why = MUTE
        while not stop.is_set():
            async for said in connection.notifies(timeout=TURN_S, stop_after=1):
                if said.channel != CHANNEL:
                    begins, self._heard_s = self._heard_s is None, clock()
                    if not begins:
                        continue
                on_change()  # also when hearing begins: what changed before was not heard of
            if clock() - (self._heard_s or since_s) > HEARD_S:
                return

    async def _speak(self, pool: Pool, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with contextlib.suppress(Unavailable):  # who cannot speak is not heard
                await fetch(pool, "SELECT pg_notify(%s, '')", (self._voice,))
            await _pause(stop, SPEAK_EVERY_S)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
