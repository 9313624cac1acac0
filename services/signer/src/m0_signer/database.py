"""The file in which a signer keeps what must survive it: SQLite, held exclusively, on disk when a call returns."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from m0common.errors import M0Error


class GuardBusy(M0Error):
    """Another process holds the guard: two signers with one key would be able to contradict each other."""


class Database:
    """The file at `path`, held until closed. `synchronous=FULL` fsyncs every transaction. Not for several threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0.5)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=TRUNCATE")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute("COMMIT")  # in exclusive mode the lock stays
        except sqlite3.OperationalError as error:
            self._db.close()
            if "locked" in str(error):
                raise GuardBusy(f"guard {path} is held by another signer: stop it first") from error
            raise M0Error(f"guard {path} cannot be used: {error}") from error

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        return self._db.execute(statement, values)

    def tables(self, script: str) -> None:
        """Make tables that do not exist."""
        self._db.executescript(script)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is on disk together when the block ends, or not at all."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Release the file."""
        self._db.close()
