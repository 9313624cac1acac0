"""The durable guard: what this signer has decided to sign, written to disk before any signature exists.

One row per (program, catalog, epoch) names the only bundle this signer will ever commit to, with the salt that reveals
it; so a signer killed at any moment goes on with the same root and the same salt.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path

from m0common.errors import M0Error

from m0_signer.database import Database

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
CREATE TABLE IF NOT EXISTS link (
    catalog TEXT PRIMARY KEY, epoch_id INTEGER NOT NULL, bundle_hash BLOB NOT NULL
) WITHOUT ROWID;
"""


class EquivocationRefused(M0Error):
    """Somebody asked for a second root for an epoch; nothing was signed."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The one bundle this signer stands for in an epoch."""

    catalog: str
    epoch_id: int
    bundle_hash: bytes
    header: bytes
    salt: bytes


class Guard:
    """The guard in the file at `path`, held exclusively until closed; `database` is that file, for what is kept beside.

    Raises GuardBusy when another process holds it.
    """

    def __init__(self, path: Path, program: bytes) -> None:
        self._program = program
        self.database = Database(path)
        self.database.tables(_SCHEMA)
        self.transaction = self.database.transaction
        self.close = self.database.close

    def decide(self, catalog: str, epoch_id: int, bundle_hash: bytes, header: bytes) -> Decision:
        """The decision for this epoch: the one made before, or a new one with a fresh salt, on disk when this returns.

        Raises EquivocationRefused when the epoch was decided for another bundle.
        """
        self.database.execute(
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
        row = self.database.execute(
            "SELECT catalog, epoch_id, bundle_hash, header, salt FROM decision"
            " WHERE program = ? AND catalog = ? AND epoch_id = ?",
            (self._program, catalog, epoch_id),
        ).fetchone()
        return None if row is None else Decision(*row)

    def unfinished(self) -> list[Decision]:
        """Decisions whose epochs are still in flight, oldest first."""
        rows = self.database.execute(
            "SELECT catalog, epoch_id, bundle_hash, header, salt FROM decision"
            " WHERE program = ? AND finished IS NULL ORDER BY epoch_id, catalog",
            (self._program,),
        ).fetchall()
        return [Decision(*row) for row in rows]

    def finish(self, catalog: str, epoch_id: int, how: str) -> None:
        """Nothing more is to be done for an epoch; its decision stays for ever."""
        self.database.execute(
            "UPDATE decision SET finished = ? WHERE program = ? AND catalog = ? AND epoch_id = ?",
            (how, self._program, catalog, epoch_id),
        )

    def place(self, topic: str, partition: int) -> int | None:
        """The next offset to read of a partition, None before the first was noted."""
        row = self.database.execute(
            "SELECT next_offset FROM place WHERE topic = ? AND partition = ?", (topic, partition)
        ).fetchone()
        return None if row is None else int(row[0])

    def move(self, topic: str, partition: int, next_offset: int) -> None:
        """Note the next offset to read."""
        self.database.execute("INSERT OR REPLACE INTO place VALUES (?, ?, ?)", (topic, partition, next_offset))

    def link(self, catalog: str) -> tuple[int, bytes] | None:
        """The epoch and hash noted by `keep_link`."""
        row = self.database.execute("SELECT epoch_id, bundle_hash FROM link WHERE catalog = ?", (catalog,)).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]))

    def keep_link(self, catalog: str, epoch_id: int, bundle_hash: bytes) -> None:
        """Note the bundle that the log has before the claims that are still to be decided."""
        self.database.execute("INSERT OR REPLACE INTO link VALUES (?, ?, ?)", (catalog, epoch_id, bundle_hash))

    def forget_links(self) -> None:
        """What stood before the next claims is not known any more."""
        self.database.execute("DELETE FROM link")
