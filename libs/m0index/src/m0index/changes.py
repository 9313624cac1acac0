"""Telling readers that the index changed, through Postgres itself: NOTIFY is delivered when the transaction commits."""

import asyncio
from collections.abc import Callable

import psycopg
from m0common.errors import Unavailable
from m0common.secret import SecretDsn
from m0common.store.postgres import Connection
from m0common.telemetry.logs import logger

CHANNEL = "m0_index"
STOP_WITHIN_S = 0.5
CHECK_EVERY_TURNS = 10
RETRY_S = 1.0
_KEEPALIVE = "keepalives_idle=5 keepalives_interval=2 keepalives_count=3 connect_timeout=5"

_log = logger(__name__)


async def announce(connection: Connection) -> None:
    """Wake everyone who listens once this transaction is committed."""
    await connection.execute(f"NOTIFY {CHANNEL}")


async def listen(
    dsn: SecretDsn, on_change: Callable[[], None], on_deaf: Callable[[], None], stop: asyncio.Event
) -> None:
    """Call `on_change` after every commit that announced itself, and once when listening begins; until `stop`.

    `on_deaf` is called when the connection is lost: from then on nothing is heard until the next `on_change`.
    """
    while not stop.is_set():
        try:
            conninfo = psycopg.conninfo.make_conninfo(dsn.reveal(), **psycopg.conninfo.conninfo_to_dict(_KEEPALIVE))
            async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                on_change()
                turn = 0
                while not stop.is_set():
                    async for _ in connection.notifies(timeout=STOP_WITHIN_S, stop_after=1):
                        on_change()
                    turn += 1
                    if turn % CHECK_EVERY_TURNS == 0:
                        await connection.execute("SELECT 1")
        except (psycopg.Error, Unavailable) as error:
            _log.warning("deaf", channel=CHANNEL, error=dsn.scrub(str(error)))
        on_deaf()
        if not stop.is_set():
            await asyncio.sleep(RETRY_S)
