"""The state of the lanes that this signer re-executes, beside its guard: saving costs what changed since the last time.

It is saved from time to time and on stopping, with the offsets to read on from and with the epochs that were computed
and are not decided yet, all in one transaction. Whatever a killed signer had not saved it computes again.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping

import msgspec
from m0common.canonical import state_digest
from m0common.messages import HeaderMessage, Manifest, encode
from m0common.stream.restored import Restored
from m0common.telemetry.logs import logger

from m0_signer.database import Database, Statement
from m0_signer.unsaved import Changed, Place

_SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS manifest (
        topic TEXT NOT NULL, catalog TEXT NOT NULL, stage INTEGER NOT NULL, partition INTEGER NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (topic, catalog, stage, partition)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS entity (
        topic TEXT NOT NULL, catalog TEXT NOT NULL, stage INTEGER NOT NULL, partition INTEGER NOT NULL,
        key BLOB NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (topic, catalog, stage, partition, key)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS read_up_to (
        topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
        PRIMARY KEY (topic, partition)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE IF NOT EXISTS read_of (topic TEXT PRIMARY KEY, cluster TEXT NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE IF NOT EXISTS computed (
        catalog TEXT NOT NULL, epoch_id INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (catalog, epoch_id)
    ) WITHOUT ROWID
    """,
)
_log = logger(__name__)
_decode_manifest = msgspec.msgpack.Decoder(Manifest).decode
_decode_header = msgspec.msgpack.Decoder(HeaderMessage).decode


class KeptStates:
    """What is kept for one topic that lanes are computed from; of another one, a former depth's, nothing stays."""

    def __init__(self, database: Database, topic: str) -> None:
        self._db, self._topic = database, topic

    async def prepare(self) -> None:
        """Before anything else is called."""
        foreign = [f"DELETE FROM {table} WHERE topic != ?" for table in ("manifest", "entity", "read_up_to")]  # noqa: S608 - our own names
        await self._db.write([*((sql, ()) for sql in _SCHEMA), *((sql, (self._topic,)) for sql in foreign)])

    async def read_from(self, cluster: str, *, keeps_states: bool) -> bool:
        """Note which cluster's topic this is read from; True when it is another than before. Then offsets say nothing
        any more: states are dropped, or with `keeps_states` go on from the beginning of what there is.
        """
        return await self._db.run(lambda connection: self._read_from(connection, cluster, keeps_states))

    def _read_from(self, connection: sqlite3.Connection, cluster: str, keeps_states: bool) -> bool:
        known = connection.execute("SELECT cluster FROM read_of WHERE topic = ?", (self._topic,)).fetchone()
        is_another = known is not None and known[0] != cluster
        if is_another:
            gone = ("read_up_to",) if keeps_states else ("read_up_to", "manifest", "entity")
            for table in gone:
                connection.execute(f"DELETE FROM {table} WHERE topic = ?", (self._topic,))  # noqa: S608 - our own names
            if not keeps_states:
                connection.execute("DELETE FROM computed")
            stays = connection.execute("SELECT value FROM manifest WHERE topic = ?", (self._topic,)).fetchall()
            for (value,) in stays:
                manifest = msgspec.structs.replace(_decode_manifest(value), input_offset=-1, held_from=None)
                connection.execute(
                    "INSERT OR REPLACE INTO manifest VALUES (?, ?, ?, ?, ?)",
                    (self._topic, manifest.catalog, manifest.stage, manifest.partition, encode(manifest)),
                )
        connection.execute("INSERT OR REPLACE INTO read_of VALUES (?, ?)", (self._topic, cluster))
        return is_another

    async def states(self) -> dict[str, list[Restored]]:
        """By catalog, the states of all its lanes; a catalog is left out when one of them is damaged."""
        return await self._db.run(self._states)

    def _states(self, connection: sqlite3.Connection) -> dict[str, list[Restored]]:
        found: dict[str, list[Restored]] = {}
        damaged: set[str] = set()
        for (value,) in connection.execute("SELECT value FROM manifest WHERE topic = ?", (self._topic,)).fetchall():
            manifest = _decode_manifest(value)
            rows = connection.execute(
                "SELECT key, value FROM entity WHERE topic = ? AND catalog = ? AND stage = ? AND partition = ?",
                (self._topic, manifest.catalog, manifest.stage, manifest.partition),
            )
            entities = {bytes(key): bytes(entity) for key, entity in rows}
            if state_digest(entities.items()) != manifest.digest:
                _log.error("kept_state_damaged", catalog=manifest.catalog, stage=manifest.stage)
                damaged.add(manifest.catalog)
            found.setdefault(manifest.catalog, []).append(Restored(manifest, entities))
        return {catalog: states for catalog, states in found.items() if catalog not in damaged}

    async def next_offsets(self) -> dict[int, int]:
        """By partition, the offset up to which the topic was read when the states were saved."""
        rows = await self._db.read("SELECT partition, next_offset FROM read_up_to WHERE topic = ?", (self._topic,))
        return {int(partition): int(offset) for partition, offset in rows}

    async def computed(self) -> list[HeaderMessage]:
        """Epochs that were computed and not decided when the states were saved, ascending."""
        rows = await self._db.read("SELECT value FROM computed ORDER BY epoch_id, catalog")
        return [_decode_header(value) for (value,) in rows]

    async def save(
        self, changed: Iterable[Changed], next_offsets: Mapping[int, int], computed: Iterable[HeaderMessage]
    ) -> None:
        """Everything at once. The arguments are read by another thread: nobody changes them any more."""

        def statements() -> Iterator[Statement]:
            for place, manifest, entities in changed:
                yield from self._put(place, manifest, entities)
            for partition, offset in next_offsets.items():
                yield "INSERT OR REPLACE INTO read_up_to VALUES (?, ?, ?)", (self._topic, partition, offset)
            yield "DELETE FROM computed", ()
            for header in computed:
                row = (header.catalog, header.epoch_id, encode(header))
                yield "INSERT INTO computed VALUES (?, ?, ?)", row

        await self._db.write(statements())

    async def replace(self, catalog: str, states: Iterable[Restored]) -> None:
        """Keep these states of a catalog in place of what there was."""

        def statements() -> Iterator[Statement]:
            for table in ("manifest", "entity"):
                yield f"DELETE FROM {table} WHERE topic = ? AND catalog = ?", (self._topic, catalog)  # noqa: S608 - our own names
            for manifest, entities, _ in states:
                yield from self._put((catalog, manifest.stage, manifest.partition), manifest, entities)

        await self._db.write(statements())

    def _put(self, place: Place, manifest: Manifest, entities: Mapping[bytes, bytes | None]) -> Iterator[Statement]:
        row = (self._topic, *place)
        yield "INSERT OR REPLACE INTO manifest VALUES (?, ?, ?, ?, ?)", (*row, encode(manifest))
        gone = "DELETE FROM entity WHERE topic = ? AND catalog = ? AND stage = ? AND partition = ? AND key = ?"
        for key, value in entities.items():
            if value is None:
                yield gone, (*row, key)
            else:
                yield "INSERT OR REPLACE INTO entity VALUES (?, ?, ?, ?, ?, ?)", (*row, key, value)


def decided(catalog: str, epoch_id: int) -> Statement:
    """What notes that an epoch is decided: it is not computed again."""
    return "DELETE FROM computed WHERE catalog = ? AND epoch_id = ?", (catalog, epoch_id)
