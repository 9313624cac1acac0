"""The durable guard: what this signer has decided to sign, written to disk before any signature exists.

One row per (program, catalog, epoch) names the only bundle this signer will ever commit to, with the salt that reveals
it; so a signer killed at any moment goes on with the same root and the same salt.
"""

import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from m0common.errors import M0Error

from m0_signer.database import Database, Statement, execute

SALT_BYTES = 32

_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS decision (
        program BLOB NOT NULL, catalog TEXT NOT NULL, epoch_id INTEGER NOT NULL,
        bundle_hash BLOB NOT NULL, header BLOB NOT NULL, salt BLOB NOT NULL,
        finished TEXT,
        PRIMARY KEY (program, catalog, epoch_id)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX IF NOT EXISTS unfinished ON decision (program) WHERE finished IS NULL",
    """
    CREATE TABLE IF NOT EXISTS place (
        topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        PRIMARY KEY (topic, partition)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS link (
        catalog TEXT PRIMARY KEY, epoch_id INTEGER NOT NULL, bundle_hash BLOB NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE TABLE IF NOT EXISTS log (topic TEXT PRIMARY KEY, cluster TEXT NOT NULL) WITHOUT ROWID",
)
_DECISION = (
    "SELECT catalog, epoch_id, bundle_hash, header, salt FROM decision"
    " WHERE program = ? AND catalog = ? AND epoch_id = ?"
)


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
    """The guard in a file that is held exclusively until closed; `database` is that file, for what is kept beside."""

    def __init__(self, database: Database, program: bytes) -> None:
        self.database, self._program = database, program
        self.close = database.close

    @classmethod
    async def open(cls, path: Path, program: bytes) -> Self:
        """The guard in the file at `path`. Raises GuardBusy when another process holds it."""
        database = await Database.open(path)
        await database.write((statement, ()) for statement in _SCHEMA)
        return cls(database, program)

    async def decide(
        self, catalog: str, epoch_id: int, bundle_hash: bytes, header: bytes, beside: Iterable[Statement] = ()
    ) -> Decision:
        """The decision for this epoch: the one made before, or a new one with a fresh salt, on disk when this returns.

        What is to be written `beside` it is written with it. Raises EquivocationRefused when the epoch was decided for
        another bundle; nothing is written then.
        """
        place = (self._program, catalog, epoch_id)
        row = (*place, bundle_hash, header, secrets.token_bytes(SALT_BYTES))
        written = list(beside)

        def work(connection: sqlite3.Connection) -> Decision:
            connection.execute("INSERT OR IGNORE INTO decision VALUES (?, ?, ?, ?, ?, ?, NULL)", row)
            decision = Decision(*connection.execute(_DECISION, place).fetchone())
            if decision.bundle_hash != bundle_hash:
                raise EquivocationRefused(
                    f"epoch {epoch_id} of {catalog} was decided for bundle {decision.bundle_hash.hex()}: bundle "
                    f"{bundle_hash.hex()} is not signed"
                )
            execute(connection, written)
            return decision

        return await self.database.run(work)

    async def decision(self, catalog: str, epoch_id: int) -> Decision | None:
        """What was decided for an epoch."""
        rows = await self.database.read(_DECISION, (self._program, catalog, epoch_id))
        return Decision(*rows[0]) if rows else None

    async def unfinished(self) -> list[Decision]:
        """Decisions whose epochs are still in flight, oldest first."""
        rows = await self.database.read(
            "SELECT catalog, epoch_id, bundle_hash, header, salt FROM decision"
            " WHERE program = ? AND finished IS NULL ORDER BY epoch_id, catalog",
            (self._program,),
        )
        return [Decision(*row) for row in rows]

    async def finish(self, catalog: str, epoch_id: int, how: str) -> None:
        """Nothing more is to be done for an epoch; its decision stays for ever."""
        finished = "UPDATE decision SET finished = ? WHERE program = ? AND catalog = ? AND epoch_id = ?"
        await self.database.write([(finished, (how, self._program, catalog, epoch_id))])

    async def place(self, topic: str, partition: int) -> int | None:
        """The next offset to read of a partition, None before the first was noted."""
        rows = await self.database.read(
            "SELECT next_offset FROM place WHERE topic = ? AND partition = ?", (topic, partition)
        )
        return int(rows[0][0]) if rows else None

    async def read_from(self, topic: str, cluster: str) -> bool:
        """Note which cluster's topic places are of. Of another than noted before they are forgotten, and True is said:
        what was decided stays, and is read again.
        """
        known = await self.database.read("SELECT cluster FROM log WHERE topic = ?", (topic,))
        is_another = bool(known) and known[0][0] != cluster
        forgotten: list[Statement] = [("DELETE FROM place WHERE topic = ?", (topic,)), ("DELETE FROM link", ())]
        noted: Statement = ("INSERT OR REPLACE INTO log VALUES (?, ?)", (topic, cluster))
        await self.database.write([*(forgotten if is_another else ()), noted])
        return is_another

    async def link(self, catalog: str) -> tuple[int, bytes] | None:
        """The epoch and hash noted by `noted_link`."""
        rows = await self.database.read("SELECT epoch_id, bundle_hash FROM link WHERE catalog = ?", (catalog,))
        return (int(rows[0][0]), bytes(rows[0][1])) if rows else None

    async def forget_links(self) -> None:
        """What stood before the next claims is not known any more."""
        await self.database.write([("DELETE FROM link", ())])


def noted_place(topic: str, partition: int, next_offset: int) -> Statement:
    """What notes the next offset to read."""
    return "INSERT OR REPLACE INTO place VALUES (?, ?, ?)", (topic, partition, next_offset)


def noted_link(catalog: str, epoch_id: int, bundle_hash: bytes) -> Statement:
    """What notes the bundle that the log has before the claims that are still to be decided."""
    return "INSERT OR REPLACE INTO link VALUES (?, ?, ?)", (catalog, epoch_id, bundle_hash)
