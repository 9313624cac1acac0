"""Follows one program: reads its history in order from the cursor and writes it, chunk by chunk."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from m0chain import ChainError, EventParser, Programs
from m0chain.rpc import SignatureInfo, TransactionRecord
from m0common.clock import Clock
from m0common.errors import Unavailable
from m0common.store.postgres import Pool, transaction
from m0common.telemetry.logs import logger
from m0index.apply import refold
from m0index.tables import history
from m0index.tables.history import NewEvent
from solders.pubkey import Pubkey

from m0_indexer import metrics
from m0_indexer.chain import Chain
from m0_indexer.events import happens
from m0_indexer.plan import Chunk, plan

FETCH_AT_ONCE = 8
POLL_S = 1.0
"""Between two passes while something may still become final or vanish."""
IDLE_POLL_S = 5.0
"""Between two passes when everything is final and the subscription would tell of more."""
RETRY_S = 1.0
STALE_AFTER_MS = 20_000

_log = logger(__name__)


@dataclass(slots=True)
class ProgramFollower:
    """One program's history into the tables. `name` is the IDL's name; `on_change` is called after rows changed."""

    name: str
    program: Pubkey
    programs: Programs
    chain: Chain
    pool: Pool
    clock: Clock
    on_change: Callable[[], None]
    on_doubt: Callable[[], None] = lambda: None
    """called when events may be missing, which only the accounts can make up for"""
    settled: bool = False
    """whether everything listed in the newest pass was final"""
    more: bool = False
    """whether there was more than the newest pass listed"""
    caught_up_ms: int | None = None
    """when the newest complete pass ended"""
    problem: str | None = None
    """why the newest pass did not complete"""

    async def run(self, wake: asyncio.Event) -> None:
        """Pass after pass, at once when woken, else after a while; never ends by itself."""
        while True:
            try:
                await self.once()
            except (Unavailable, ChainError) as error:
                # also a refusal: to read the history is what this process is for, so it asks until it may
                self.problem = str(error)
                _log.warning("follower_waits", program=self.name, error=self.problem)
                await asyncio.sleep(RETRY_S)
                continue
            self.problem = None
            if self.more:
                continue
            await happens(wake, IDLE_POLL_S if self.settled else POLL_S)

    def ready(self) -> str | None:
        """None when the tables are up to date with the chain."""
        if self.problem is not None:
            return f"the history of {self.name} cannot be read: {self.problem}"
        if self.caught_up_ms is None:
            return f"the history of {self.name} is still being read"
        age = self.clock.monotonic_ms() - self.caught_up_ms
        return f"{self.name} was last read {age} ms ago" if age > STALE_AFTER_MS else None

    async def once(self) -> bool:
        """One pass, complete unless there was too much for one; whether anything changed.

        Raises Unavailable when the node or the database is away.
        """
        async with transaction(self.pool) as connection:
            cursor = await history.cursor(connection, self._cursor_name)
            stored = await history.stored_since(connection, str(self.program), cursor.slot if cursor else 0)
        listing = await self.chain.listing(self.program, cursor)
        if cursor is not None:
            stored.pop(cursor.signature, None)
        todo = plan(listing, stored)
        changed = await self._forget(todo.moved)
        for chunk in todo.chunks:
            changed = await self._write(chunk) or changed
        gone = await self.chain.vanished(todo.missing) if todo.missing else []
        changed = await self._forget(gone) or changed
        self.more = not listing.whole
        self.settled = listing.whole and not listing.confirmed
        if listing.whole:
            self.caught_up_ms = self.clock.monotonic_ms()
        metrics.PASSES.labels(self.name).inc()
        if changed:
            self.on_change()
        return changed

    @property
    def _cursor_name(self) -> str:
        return f"chain:{self.program}"

    async def _write(self, chunk: Chunk) -> bool:
        records = await self._fetch(chunk.fresh)
        if not (records or chunk.promoted or chunk.cursor):
            return False
        commitments = {info.signature: commitment for info, commitment in chunk.fresh}
        address = str(self.program)
        touched: set[str] = set()
        counts: list[str] = []
        async with transaction(self.pool) as connection:
            await history.lock(connection, address)
            for record in records:
                events = self._events(record)
                counts += [event.name for event in events]
                commitment = commitments[record.signature]
                touched |= await history.add_transaction(connection, address, record, commitment, events)
            touched |= await history.promote(connection, address, chunk.promoted)
            await refold(connection, touched, self.programs, self.clock.now_ms())
            if chunk.cursor is not None:
                await history.move_cursor(connection, self._cursor_name, chunk.cursor, self.clock.now_ms())
        for name in counts:
            metrics.EVENTS.labels(self.name, name).inc()
        if chunk.cursor is not None:
            metrics.CURSOR_SLOT.labels(self.name).set(chunk.cursor.slot)
        return bool(touched)

    async def _fetch(self, fresh: Sequence[tuple[SignatureInfo, str]]) -> list[TransactionRecord]:
        gate = asyncio.Semaphore(FETCH_AT_ONCE)

        async def one(info: SignatureInfo) -> TransactionRecord:
            async with gate:
                record = await self.chain.transaction(info.signature)
            if record is None:
                raise Unavailable(f"the node lists transaction {info.signature} but does not return it yet")
            return record

        return await asyncio.gather(*(one(info) for info, _ in fresh))

    def _events(self, record: TransactionRecord) -> list[NewEvent]:
        if record.error is not None:
            return []
        parser = EventParser(self.programs.oracle, self.programs.registry)
        parsed = parser.parse(record.logs, record.programs)
        mine = str(self.program)
        for line in parsed.unreadable:
            if line.program == mine:
                metrics.UNREADABLE.labels(self.name).inc()
                _log.error(
                    "event_unreadable", signature=record.signature, instruction=line.instruction, inner=line.inner,
                    error=line.reason,
                )  # fmt: skip
        if parsed.truncated:
            _log.warning("transaction_log_truncated", signature=record.signature)
        if parsed.truncated or parsed.unreadable:
            self.on_doubt()
        return [
            NewEvent(self.name, e.name, e.instruction, e.inner, e.event) for e in parsed.events if e.program == mine
        ]

    async def _forget(self, signatures: Sequence[str]) -> bool:
        if not signatures:
            return False
        address = str(self.program)
        async with transaction(self.pool) as connection:
            await history.lock(connection, address)
            touched = await history.forget(connection, address, signatures)
            await refold(connection, touched, self.programs, self.clock.now_ms())
        metrics.ROLLED_BACK.inc(len(signatures))
        _log.warning("rolled_back", program=self.name, signatures=list(signatures), things=sorted(touched))
        return bool(touched)
