"""A connection that waits for an answer only so long: a database that hangs is away, like one that refuses."""

from typing import TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen
from psycopg.rows import DictRow, dict_row

from m0common.secret import SecretDsn

T = TypeVar("T")

INTERVAL_S = 0.1
"""How often a wait looks whether it is over."""


class BoundedConnection(psycopg.AsyncConnection[DictRow]):
    """Every answer comes within `answer_s` or the connection is closed; so it is when a wait for one is cancelled.

    psycopg itself would ask the server, which may be the one that hangs, to cancel the statement. A server that is well
    ends it by its own time-out.
    """

    answer_s: float = 5.0

    async def wait(self, gen: PQGen[T], interval: float = INTERVAL_S, timeout: float | None = None) -> T:  # noqa: ASYNC109 - psycopg's
        """See AsyncConnection. Raises OperationalError when no answer comes in time."""
        within_s = self.answer_s if timeout is None else timeout
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=within_s)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - what `wait` is to raise when it was given a time
            if timeout is not None:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {within_s:g} s") from None
        except BaseException:
            if self.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise


async def connected(dsn: SecretDsn, name: str, answer_s: int) -> BoundedConnection:
    """A connection of one's own that commits by itself; `name` shows in pg_stat_activity.

    Raises OperationalError when there is no answer within `answer_s`, Unavailable when the address cannot be read.
    """
    connection = await BoundedConnection.connect(
        dsn.reveal(), autocommit=True, row_factory=dict_row, connect_timeout=answer_s, application_name=name
    )
    connection.answer_s = answer_s
    return connection
