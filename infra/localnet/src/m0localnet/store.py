"""
The ledger on disk: one SQLite database in write-ahead mode.

Its write-ahead log is the journal: frames carry checksums, a commit is one append and one fsync, a torn tail is
dropped on open, and the checkpointer folds the log into the tables while the node runs, so a restart never reads more
than a few megabytes. Accounts, blocks, transactions and the node's state of one slot are written in the same commit.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey

from m0localnet.errors import LedgerError
from m0localnet.records import (
    BlockRecord,
    TxRecord,
    decode_account,
    decode_block,
    decode_tx,
    encode_account,
    encode_record,
)
from m0localnet.slot import Landed

VERSION: Final = 1
EMPTY_BLOCKS_KEPT: Final = 432_000  # two days of 400 ms; blocks with transactions are kept for good
PRUNE_EVERY_SLOTS: Final = 4_096
INDEX_BITS: Final = 20  # position of a transaction = slot << INDEX_BITS | index in the slot
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (key BLOB PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (slot INTEGER PRIMARY KEY, transactions INTEGER NOT NULL, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS transactions
    (position INTEGER PRIMARY KEY, signature BLOB NOT NULL UNIQUE, value BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS addresses (address BLOB, position INTEGER, PRIMARY KEY (address, position)) WITHOUT ROWID;
"""


class Genesis(msgspec.Struct, frozen=True):
    """What makes this chain itself: ``hash`` (32 bytes), faucet and identity secrets (64 each), ``time`` in seconds."""

    hash: bytes
    faucet: bytes
    identity: bytes
    time: int


class State(msgspec.Struct, frozen=True):
    """
    The counters after the last written slot.

    The chain's clock is ahead of the machine's by ``clock_offset`` seconds and ``clock_offset_ms`` milliseconds.
    """

    slot: int
    blockhash: bytes
    transactions: int
    clock_offset: int
    clock_offset_ms: int = 0  # absent in ledgers that only knew whole seconds


@dataclass(slots=True)
class Batch:
    """Frozen slots to write in one commit; an account of None was removed."""

    state: State
    blocks: list[BlockRecord] = field(default_factory=list)
    transactions: list[Landed] = field(default_factory=list)
    accounts: dict[Pubkey, Account | None] = field(default_factory=dict)


def position(slot: int, index: int) -> int:
    """Return the place of a transaction in the order of the chain."""
    return slot << INDEX_BITS | index


class Store:
    """
    The ledger directory, locked for one process.

    :meth:`commit` may run in another thread than the readers: it uses a connection of its own.
    Raises :class:`LedgerError` when the directory cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = (directory / "lock").open("a+")
        except OSError as error:
            raise LedgerError(f"cannot use the ledger directory {directory}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LedgerError(
                f"the ledger {directory} is in use by another localnet; stop it or choose another --ledger"
            ) from error
        self._path = directory / "ledger.sqlite"
        self._prune_at = 0
        try:
            self._writer = self._connect()
            self._writer.executescript(_SCHEMA)
            self._reader = self._connect()
            self._check_version()
        except sqlite3.Error as error:
            raise LedgerError(
                f"cannot open the ledger {self._path}: {error}; "
                "free disk space, or move the directory away to start anew"
            ) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-8192")
        return connection

    def _check_version(self) -> None:
        found = self._meta("version")
        if found is None:
            self._writer.execute("INSERT INTO meta VALUES ('version', ?)", (str(VERSION).encode(),))
        elif found != str(VERSION).encode():
            raise LedgerError(
                f"the ledger {self._path} has version {found.decode(errors='replace')}, this localnet reads {VERSION}; "
                "move the directory away to start anew"
            )

    def close(self) -> None:
        """Fold the log into the database and give the directory free."""
        self._reader.close()
        with contextlib.suppress(sqlite3.Error):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._writer.close()
        self._lock.close()

    # ---- what a node starts from

    def _meta(self, name: str) -> bytes | None:
        row = self._reader.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def genesis(self) -> Genesis | None:
        """Return the chain's birth record, None in a new ledger."""
        raw = self._meta("genesis")
        return msgspec.msgpack.decode(raw, type=Genesis) if raw else None

    def create(self, genesis: Genesis, first: Batch) -> None:
        """Write the birth record and the first slot in one commit."""
        self._write(first, [("genesis", msgspec.msgpack.encode(genesis))])

    def state(self) -> State | None:
        """Return the counters after the last slot written."""
        raw = self._meta("state")
        return msgspec.msgpack.decode(raw, type=State) if raw else None

    def accounts(self) -> Iterator[tuple[Pubkey, Account]]:
        """Iterate over every stored account."""
        for key, value in self._reader.execute("SELECT key, value FROM accounts"):
            yield Pubkey(key), decode_account(value)

    def balances(self) -> Iterator[tuple[Pubkey, int]]:
        """Iterate over every stored account's lamports."""
        for key, lamports in self._reader.execute("SELECT key, substr(value, 1, 8) FROM accounts"):
            yield Pubkey(key), int.from_bytes(lamports, "little")

    def last_blocks(self, count: int) -> list[BlockRecord]:
        """Return the newest ``count`` blocks, oldest first."""
        rows = self._reader.execute("SELECT value FROM blocks ORDER BY slot DESC LIMIT ?", (count,)).fetchall()
        return [decode_block(row[0]) for row in reversed(rows)]

    # ---- writing

    def commit(self, batch: Batch) -> None:
        """Write frozen slots durably; raises :class:`LedgerError` and changes nothing when the disk refuses."""
        try:
            self._write(batch, [])
        except Exception as error:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            free = "unknown"
            with contextlib.suppress(OSError):
                stat = os.statvfs(self._path.parent)
                free = f"{stat.f_bavail * stat.f_frsize // 2**20} MiB"
            raise LedgerError(
                f"cannot write the ledger {self._path}: {error} ({free} free); "
                "free disk space, the node then goes on by itself"
            ) from error

    def _write(self, batch: Batch, meta: Sequence[tuple[str, bytes]]) -> None:
        db = self._writer
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)",
            ((b.slot, b.transactions, encode_record(b)) for b in batch.blocks),
        )
        self._prune(batch.state.slot)
        db.executemany(
            "INSERT OR REPLACE INTO transactions VALUES (?, ?, ?)",
            ((position(t.record.slot, t.record.index), t.record.signature, t.stored) for t in batch.transactions),
        )
        db.executemany(
            "INSERT OR REPLACE INTO addresses VALUES (?, ?)",
            ((bytes(key), position(t.record.slot, t.record.index)) for t in batch.transactions for key in t.keys),
        )
        kept = [(bytes(key), encode_account(a)) for key, a in batch.accounts.items() if a is not None]
        gone = [(bytes(key),) for key, a in batch.accounts.items() if a is None]
        db.executemany("INSERT OR REPLACE INTO accounts VALUES (?, ?)", kept)
        db.executemany("DELETE FROM accounts WHERE key = ?", gone)
        rows = [*meta, ("state", msgspec.msgpack.encode(batch.state))]
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
        db.execute("COMMIT")

    def _prune(self, newest: int) -> None:
        if newest < self._prune_at:
            return
        oldest_kept = newest - EMPTY_BLOCKS_KEPT
        query = "DELETE FROM blocks WHERE slot BETWEEN 1 AND ? AND transactions = 0"
        self._writer.execute(query, (oldest_kept,))
        self._prune_at = newest + PRUNE_EVERY_SLOTS

    # ---- history

    def block(self, slot: int) -> BlockRecord | None:
        """Return one block."""
        row = self._reader.execute("SELECT value FROM blocks WHERE slot = ?", (slot,)).fetchone()
        return decode_block(row[0]) if row else None

    def block_from(self, slot: int) -> BlockRecord | None:
        """Return the first block at ``slot`` or after it."""
        query = "SELECT value FROM blocks WHERE slot >= ? ORDER BY slot LIMIT 1"
        row = self._reader.execute(query, (slot,)).fetchone()
        return decode_block(row[0]) if row else None

    def slots(self, start: int, end: int, limit: int) -> list[int]:
        """Return the slots with a block in [start, end], ascending, at most ``limit``."""
        query = "SELECT slot FROM blocks WHERE slot BETWEEN ? AND ? ORDER BY slot LIMIT ?"
        return [row[0] for row in self._reader.execute(query, (start, end, limit))]

    def first_slot(self) -> int:
        """Return the lowest slot with a block."""
        row = self._reader.execute("SELECT min(slot) FROM blocks").fetchone()
        return int(row[0] or 0)

    def transaction(self, signature: bytes) -> TxRecord | None:
        """Return a transaction by its first signature (64 bytes)."""
        row = self._reader.execute("SELECT value FROM transactions WHERE signature = ?", (signature,)).fetchone()
        return decode_tx(row[0]) if row else None

    def transactions(self, first_slot: int, last_slot: int) -> Iterable[TxRecord]:
        """Iterate over the transactions of the slots in [first, last], in the order of the chain."""
        query = "SELECT value FROM transactions WHERE position >= ? AND position < ? ORDER BY position"
        for row in self._reader.execute(query, (position(first_slot, 0), position(last_slot + 1, 0))):
            yield decode_tx(row[0])

    def of_address(self, address: bytes, after: int, before: int, limit: int) -> list[TxRecord]:
        """Return transactions naming ``address`` at positions in (after, before), newest first."""
        query = (
            "SELECT t.value FROM addresses a JOIN transactions t USING (position) "
            "WHERE a.address = ? AND a.position > ? AND a.position < ? ORDER BY a.position DESC LIMIT ?"
        )
        return [decode_tx(row[0]) for row in self._reader.execute(query, (address, after, before, limit))]
