"""What an archive keeps beside the log: backups of tables and files, and rehearsals. Each is a chain of its own."""

from collections.abc import AsyncIterator

import msgspec

from m0archive import files
from m0archive.chain import Chain, Found, Link
from m0archive.entries import check_identity
from m0archive.errors import Damaged
from m0archive.files import Part
from m0archive.store import Store

BACKUPS = "backups"
REHEARSALS = "rehearsals"
RESTORED = "postgres"
"""The step of a rehearsal that restores the tables."""


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table or a file. `columns` of a table are those of its rows, in their order; a file has none."""

    name: str
    parts: list[Part]
    columns: list[str] = msgspec.field(default_factory=list)
    rows: int = 0


class Backup(Link, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `m0 backup create`. `schema` is the step of the database's schema, `full` whether all tables are in it,
    `took_ms` how long it took, `entry` the number of the log's newest entry then, -1 without a log.
    """

    made_ms: int
    took_ms: int
    schema: str
    full: bool
    entry: int
    tables: list[Kept]
    files: list[Kept]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was rehearsed, whether it worked, how long it took, and what is to be said of it."""

    name: str
    ok: bool
    took_ms: int
    said: str


class Rehearsal(Link, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `m0 backup rehearse`, of the backup of this number."""

    made_ms: int
    ok: bool
    backup: int
    steps: list[Step]

    @property
    def restored(self) -> bool:
        """Whether tables were restored: without that nobody knows whether they can be."""
        return any(step.name == RESTORED for step in self.steps)


def backup_chain(store: Store) -> Chain[Backup]:
    """The backups in this storage."""
    return Chain(store, BACKUPS, Backup)


def rehearsal_chain(store: Store) -> Chain[Rehearsal]:
    """The rehearsals in this storage."""
    return Chain(store, REHEARSALS, Rehearsal)


async def newest_restored(store: Store, newest: Found[Rehearsal] | None) -> Rehearsal | None:
    """The newest rehearsal in which tables were restored, and which worked; `newest` is the newest of all. Raises
    Damaged, Unavailable.
    """
    async for found in rehearsal_chain(store).back(newest):
        if found.restored and found.ok:
            return found
    return None


async def content(store: Store, kept: Kept) -> AsyncIterator[bytes]:
    """The bytes of a table or a file, a part at a time. Raises Damaged, Unavailable."""
    for part in kept.parts:
        yield await files.read(store, part)


async def faults_in(store: Store, backup: Backup, called: str) -> list[str]:
    """What of a backup's tables and files does not hold, each naming an object and the backup as it is `called`; every
    byte is read. Raises Unavailable.
    """
    faults: list[str] = []
    for kept in (*backup.tables, *backup.files):
        try:
            async for _ in content(store, kept):
                pass
        except Damaged as error:
            faults.append(f"{error} ({kept.name} of {called})")
    return faults


async def faults_of(store: Store) -> list[str]:
    """What of backups and rehearsals does not hold, each naming an object; every byte is read. Raises Unavailable."""
    root = await check_identity(store, None)
    faults: list[str] = []
    backups = backup_chain(store)
    faults += await backups.faults(root)
    faults += await rehearsal_chain(store).faults(root)
    for number in range(await backups.count()):
        try:
            backup = (await backups.expected(number)).link
        except Damaged:
            continue  # it is among the chain's faults
        faults += await faults_in(store, backup, f"backup {number}")
    return faults
