"""The durable guard: what this signer has decided to sign, written to disk before any signature exists.

One row per (program, catalog, epoch) names the only bundle this signer will ever commit to, with the salt that reveals
it; so a signer killed at any moment goes on with the same root and the same salt. SQLite with `synchronous=FULL` fsyncs
every transaction before it returns.
"""

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from m0common.errors import M0Error

SALT_BYTES = 32

_SCHEMA = """
CREATE TABLE IF NOT EXISTS decision (
    program BLOB NOT NULL, catalog TEXT NOT NULL, epoch_id INTEGER NOT NULL,
    bundle_hash BLOB NOT NULL, header BLOB NOT NULL, salt BLOB NOT NULL,
    finished TEXT,
    PRIMARY KEY (program, catalog, epoch_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unfinished ON decision (program) WHERE finished IS NULL;
CREATE TABLE IF NOT EXISTS place (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshot (
    catalog TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (catalog, name)
) WITHOUT ROWID;
"""


class EquivocationRefused(M0Error):
    """Somebody asked for a second root for an epoch; nothing was signed."""


class GuardBusy(M0Error):
    """Another process holds the guard: two signers with one key would be able to contradict each other."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The one bundle this signer stands for in an epoch."""

    catalog: str
    epoch_id: int
    bundle_hash: bytes
    header: bytes
    salt: bytes


class Guard:
    """The guard file at `path`, held exclusively until closed. Not for use from several threads."""

    def __init__(self, path: Path, program: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self._program = program
        self._db = sqlite3.connect(path, isolation_level=None, timeout=0.5)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=TRUNCATE")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("BEGIN EXCLUSIVE")
            self._db.execute("COMMIT")  # in exclusive mode the lock stays
            self._db.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            self._db.close()
            if "locked" in str(error):
                raise GuardBusy(f"guard {path} is held by another signer: stop it first") from error
            raise M0Error(f"guard {path} cannot be used: {error}") from error

    def close(self) -> None:
        """Release the file."""
        self._db.close()

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

    def decide(self, catalog: str, epoch_id: int, bundle_hash: bytes, header: bytes) -> Decision:
        """The decision for this epoch: the one made before, or a new one with a fresh salt, on disk when this returns.

        Raises EquivocationRefused when the epoch was decided for another bundle.
        """
        self._db.execute(
            "INSERT OR IGNORE INTO decision VALUES (?, ?, ?, ?, ?, ?, NULL)",
            (self._program, catalog, epoch_id, bundle_hash, header, secrets.token_bytes(SALT_BYTES)),
        )
        decision = self.decision(catalog, epoch_id)
        if decision is None or decision.bundle_hash != bundle_hash:
            was = "none" if decision is None else decision.bundle_hash.hex()
            raise EquivocationRefused(
                f"epoch {epoch_id} of {catalog} was decided for bundle {was}: bundle {bundle_hash.hex()} is not signed"
            )
        return decision

    def decision(self, catalog: str, epoch_id: int) -> Decision | None:
        """What was decided for an epoch."""
        row = self._db.execute(
            "SELECT catalog, epoch_id, bundle_hash, header, salt FROM decision"
            " WHERE program = ? AND catalog = ? AND epoch_id = ?",
            (self._program, catalog, epoch_id),
        ).fetchone()
        return None if row is None else Decision(*row)

    def unfinished(self) -> list[Decision]:
        """Decisions whose epochs are still in flight, oldest first."""
        rows = self._db.execute(
            "SELECT catalog, epoch_id, bundle_hash, header, salt FROM decision"
            " WHERE program = ? AND finished IS NULL ORDER BY epoch_id, catalog",
            (self._program,),
        ).fetchall()
        return [Decision(*row) for row in rows]

    def finish(self, catalog: str, epoch_id: int, how: str) -> None:
        """Nothing more is to be done for an epoch; its decision stays for ever."""
        self._db.execute(
            "UPDATE decision SET finished = ? WHERE program = ? AND catalog = ? AND epoch_id = ?",
            (how, self._program, catalog, epoch_id),
        )

    def place(self, topic: str, partition: int) -> int | None:
        """The next offset to read of a partition, None before the first was noted."""
        row = self._db.execute(
            "SELECT next_offset FROM place WHERE topic = ? AND partition = ?", (topic, partition)
        ).fetchone()
        return None if row is None else int(row[0])

    def move(self, topic: str, partition: int, next_offset: int) -> None:
        """Note the next offset to read."""
        self._db.execute("INSERT OR REPLACE INTO place VALUES (?, ?, ?)", (topic, partition, next_offset))

    def snapshot(self, catalog: str, name: str) -> bytes | None:
        """A state noted by `keep`."""
        row = self._db.execute("SELECT value FROM snapshot WHERE catalog = ? AND name = ?", (catalog, name)).fetchone()
        return None if row is None else bytes(row[0])

    def keep(self, catalog: str, name: str, value: bytes) -> None:
        """Note a state to go on from after a restart."""
        self._db.execute("INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?)", (catalog, name, value))
