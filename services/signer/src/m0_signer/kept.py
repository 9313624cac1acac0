"""The state of the lanes that this signer re-executes, beside its guard: saving costs what changed since the last time.

It is saved from time to time and on stopping, with the offsets to read on from and with the epochs that were computed
and are not decided yet, all in one transaction. Whatever a killed signer had not saved it computes again.
"""

from collections.abc import Iterable, Mapping

import msgspec
from m0common.canonical import state_digest
from m0common.messages import HeaderMessage, Manifest, encode
from m0common.stream.restored import Restored
from m0common.telemetry.logs import logger

from m0_signer.database import Database
from m0_signer.unsaved import Place, Unsaved

_SCHEMA = """
CREATE TABLE IF NOT EXISTS manifest (
    topic TEXT NOT NULL, catalog TEXT NOT NULL, stage INTEGER NOT NULL, partition INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (topic, catalog, stage, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entity (
    topic TEXT NOT NULL, catalog TEXT NOT NULL, stage INTEGER NOT NULL, partition INTEGER NOT NULL, key BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (topic, catalog, stage, partition, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS read_up_to (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS computed (
    catalog TEXT NOT NULL, epoch_id INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (catalog, epoch_id)
) WITHOUT ROWID;
"""
_log = logger(__name__)
_decode_manifest = msgspec.msgpack.Decoder(Manifest).decode
_decode_header = msgspec.msgpack.Decoder(HeaderMessage).decode


class KeptStates:
    """What is kept for one topic that lanes are computed from; of another one, a former depth's, nothing stays."""

    def __init__(self, database: Database, topic: str) -> None:
        self._db, self._topic = database, topic
        database.tables(_SCHEMA)
        with database.transaction():
            for table in ("manifest", "entity", "read_up_to"):
                database.execute(f"DELETE FROM {table} WHERE topic != ?", (topic,))  # noqa: S608 - our own names

    def states(self) -> dict[str, list[Restored]]:
        """By catalog, the states of all its lanes; a catalog is left out when one of them is damaged."""
        found: dict[str, list[Restored]] = {}
        damaged: set[str] = set()
        for (value,) in self._db.execute("SELECT value FROM manifest WHERE topic = ?", (self._topic,)).fetchall():
            manifest = _decode_manifest(value)
            rows = self._db.execute(
                "SELECT key, value FROM entity WHERE topic = ? AND catalog = ? AND stage = ? AND partition = ?",
                (self._topic, manifest.catalog, manifest.stage, manifest.partition),
            )
            entities = {bytes(key): bytes(entity) for key, entity in rows}
            if state_digest(entities.items()) != manifest.digest:
                _log.error("kept_state_damaged", catalog=manifest.catalog, stage=manifest.stage)
                damaged.add(manifest.catalog)
            found.setdefault(manifest.catalog, []).append(Restored(manifest, entities))
        return {catalog: states for catalog, states in found.items() if catalog not in damaged}

    def next_offsets(self) -> dict[int, int]:
        """By partition, the offset up to which the topic was read when the states were saved."""
        rows = self._db.execute("SELECT partition, next_offset FROM read_up_to WHERE topic = ?", (self._topic,))
        return {int(partition): int(offset) for partition, offset in rows}

    def computed(self) -> list[HeaderMessage]:
        """Epochs that were computed and not decided when the states were saved, ascending."""
        rows = self._db.execute("SELECT value FROM computed ORDER BY epoch_id, catalog").fetchall()
        return [_decode_header(value) for (value,) in rows]

    def save(self, unsaved: Unsaved, next_offsets: Mapping[int, int], computed: Iterable[HeaderMessage]) -> None:
        """Everything at once."""
        with self._db.transaction():
            for place, manifest, entities in unsaved.lanes():
                self._put(place, manifest, entities)
            for partition, offset in next_offsets.items():
                self._db.execute("INSERT OR REPLACE INTO read_up_to VALUES (?, ?, ?)", (self._topic, partition, offset))
            self._db.execute("DELETE FROM computed")
            for header in computed:
                self._db.execute(
                    "INSERT INTO computed VALUES (?, ?, ?)", (header.catalog, header.epoch_id, encode(header))
                )

    def replace(self, catalog: str, states: Iterable[Restored]) -> None:
        """Keep these states of a catalog in place of what there was."""
        with self._db.transaction():
            for table in ("manifest", "entity"):
                self._db.execute(
                    f"DELETE FROM {table} WHERE topic = ? AND catalog = ?",  # noqa: S608 - our own names
                    (self._topic, catalog),
                )
            for manifest, entities, _ in states:
                self._put((catalog, manifest.stage, manifest.partition), manifest, entities)

    def decided(self, catalog: str, epoch_id: int) -> None:
        """An epoch is decided: it is not computed again."""
        self._db.execute("DELETE FROM computed WHERE catalog = ? AND epoch_id = ?", (catalog, epoch_id))

    def _put(self, place: Place, manifest: Manifest, entities: Mapping[bytes, bytes | None]) -> None:
        row = (self._topic, *place)
        self._db.execute("INSERT OR REPLACE INTO manifest VALUES (?, ?, ?, ?, ?)", (*row, encode(manifest)))
        for key, value in entities.items():
            if value is None:
                self._db.execute(
                    "DELETE FROM entity WHERE topic = ? AND catalog = ? AND stage = ? AND partition = ? AND key = ?",
                    (*row, key),
                )
            else:
                self._db.execute("INSERT OR REPLACE INTO entity VALUES (?, ?, ?, ?, ?, ?)", (*row, key, value))
