"""The file in which a signer keeps what must survive it: SQLite, held exclusively, used by one thread that owns it.

The event loop never waits for the disk. Works are done one at a time in the order in which they were given, each in a
transaction of its own; what was given is done, also when whoever gave it is cancelled before it is.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from m0common.errors import M0Error

T = TypeVar("T")
Statement = tuple[str, tuple[object, ...]]
"""SQL and its values."""
Row = tuple[Any, ...]
"""As SQLite gives it: the types are those of the columns that were asked for."""


class GuardBusy(M0Error):
    """Another process holds the guard: two signers with one key would be able to contradict each other."""


class Database:
    """The file, held until closed. `synchronous=FULL` forces every transaction to disk before it is reported."""

    def __init__(self, thread: ThreadPoolExecutor, connection: sqlite3.Connection) -> None:
        self._thread, self._connection = thread, connection

    @classmethod
    async def open(cls, path: Path) -> Self:
        """The file at `path`, made when it does not exist. Raises GuardBusy when another process holds it."""
        thread = ThreadPoolExecutor(1, thread_name_prefix=path.name)
        try:
            return cls(thread, await _on(thread, partial(_connect, path)))
        except BaseException:
            thread.shutdown(wait=False)
            raise

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns: whatever it wrote is on disk then. When it raises, nothing is.

        The work is in its place behind those given before from the moment of the call.
        """
        return await _on(self._thread, partial(_in_transaction, self._connection, work))

    async def write(self, statements: Iterable[Statement]) -> None:
        """Everything at once: on disk when this returns. The thread that owns the file reads `statements`."""
        await self.run(partial(execute, statements=statements))

    async def read(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        """All rows that a statement finds."""
        return await self.run(lambda connection: connection.execute(sql, values).fetchall())

    async def close(self) -> None:
        """Release the file, behind everything that was given before."""
        await _on(self._thread, self._connection.close)
        self._thread.shutdown(wait=False)


def execute(connection: sqlite3.Connection, statements: Iterable[Statement]) -> None:
    """Write `statements` in their order."""
    for sql, values in statements:
        connection.execute(sql, values)


async def _on(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.shield(asyncio.wrap_future(thread.submit(work)))


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, timeout=0.5)  # refuses every other thread
    try:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=TRUNCATE")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")  # in exclusive mode the lock stays
    except sqlite3.OperationalError as error:
        connection.close()
        if "locked" in str(error):
            raise GuardBusy(f"guard {path} is held by another signer: stop it first") from error
        raise M0Error(f"guard {path} cannot be used: {error}") from error
    return connection


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return result
