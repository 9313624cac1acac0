"""Cursors, transactions and events as read from the chain."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from m0chain.rpc import TransactionRecord
from m0common.store.postgres import Connection
from psycopg.types.json import Jsonb

from m0index import events
from m0index.events import Event

FROM_ACCOUNT_POSITION = 1 << 62
"""An account as read comes after every event of its slot."""


class Cursor(NamedTuple):
    """The newest final transaction before which nothing is missing; empty signature: none yet."""

    signature: str
    slot: int


class Stored(NamedTuple):
    """A stored transaction that the cursor has not passed."""

    slot: int
    commitment: str


class NewEvent(NamedTuple):
    """An event to store; `program` is the IDL's name."""

    program: str
    name: str
    instruction: int
    inner: int
    event: msgspec.Struct


async def lock(connection: Connection, name: str) -> None:
    """Wait until no other transaction holds `name`; released at the end of this one."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))


async def cursor(connection: Connection, name: str) -> Cursor | None:
    """Where a reader stands, None before its first step."""
    found = await connection.execute("SELECT value, slot FROM cursors WHERE name = %s", (name,))
    row = await found.fetchone()
    return None if row is None else Cursor(row["value"], row["slot"])


async def move_cursor(connection: Connection, name: str, to: Cursor, now_ms: int) -> None:
    """Put a reader at `to`; it never goes back."""
    await connection.execute(
        """
        INSERT INTO cursors (name, value, slot, updated_ms) VALUES (%s, %s, %s, %s)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value, slot = excluded.slot, updated_ms = excluded.updated_ms
        WHERE cursors.slot <= excluded.slot
        """,
        (name, to.signature, to.slot, now_ms),
    )


async def stored_since(connection: Connection, program: str, slot: int) -> dict[str, Stored]:
    """Transactions of a program (its address) stored from `slot` on, by signature."""
    found = await connection.execute(
        "SELECT signature, slot, commitment FROM chain_transactions WHERE program = %s AND slot >= %s",
        (program, slot),
    )
    return {row["signature"]: Stored(row["slot"], row["commitment"]) for row in await found.fetchall()}


async def add_transaction(
    connection: Connection,
    program: str,
    record: TransactionRecord,
    commitment: str,
    found: Sequence[NewEvent],
) -> set[str]:
    """Store a transaction of `program` (its address) and its events, once; returns the things they are about."""
    block_ms = None if record.block_time_s is None else record.block_time_s * 1000
    added = await connection.execute(
        """
        INSERT INTO chain_transactions (program, signature, slot, block_ms, commitment) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (program, signature) DO NOTHING RETURNING position
        """,
        (program, record.signature, record.slot, block_ms, commitment),
    )
    row = await added.fetchone()
    if row is None:
        return set()
    touched = set()
    for each in found:
        thing = events.entity(each.event)
        touched.add(thing)
        await connection.execute(
            """
            INSERT INTO chain_events (signature, instruction, inner_index, program, name, entity, slot, position,
                                      block_ms, commitment, body)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (signature, instruction, inner_index) DO NOTHING
            """,
            (
                record.signature,
                each.instruction,
                each.inner,
                each.program,
                each.name,
                thing,
                record.slot,
                row["position"],
                block_ms,
                commitment,
                Jsonb(events.to_json(each.event)),
            ),
        )
    return touched


async def add_account(connection: Connection, program: str, name: str, account: msgspec.Struct, slot: int) -> str:
    """Store an account as read at a final `slot`, as an event from which the fold goes on; returns the thing."""
    thing = events.entity(account)
    await connection.execute(
        """
        INSERT INTO chain_events (signature, instruction, inner_index, program, name, entity, slot, position,
                                  commitment, body)
        VALUES (%s, 0, 0, %s, %s, %s, %s, %s, 'finalized', %s)
        ON CONFLICT (signature, instruction, inner_index) DO UPDATE SET body = excluded.body
        """,
        (
            f"account:{thing}:{slot}",
            program,
            name,
            thing,
            slot,
            FROM_ACCOUNT_POSITION,
            Jsonb(events.to_json(account)),
        ),
    )
    return thing


async def promote(connection: Connection, program: str, signatures: Sequence[str]) -> set[str]:
    """Mark transactions and their events final; returns the things whose rows that may now be settled."""
    if not signatures:
        return set()
    await connection.execute(
        "UPDATE chain_transactions SET commitment = 'finalized' WHERE program = %s AND signature = ANY(%s)",
        (program, list(signatures)),
    )
    touched = await connection.execute(
        """
        UPDATE chain_events SET commitment = 'finalized'
        WHERE signature = ANY(%s) AND commitment <> 'finalized' RETURNING entity
        """,
        (list(signatures),),
    )
    return {row["entity"] for row in await touched.fetchall()}


async def forget(connection: Connection, program: str, signatures: Sequence[str]) -> set[str]:
    """Remove transactions that are not on the chain any more, with their events; returns the things affected.

    A final one is never removed.
    """
    gone = await connection.execute(
        """
        DELETE FROM chain_transactions WHERE program = %s AND signature = ANY(%s) AND commitment <> 'finalized'
        RETURNING signature
        """,
        (program, list(signatures)),
    )
    names = [row["signature"] for row in await gone.fetchall()]
    touched = await connection.execute(
        "DELETE FROM chain_events WHERE signature = ANY(%s) AND commitment <> 'finalized' RETURNING entity", (names,)
    )
    return {row["entity"] for row in await touched.fetchall()}


async def events_of(connection: Connection, entities: Sequence[str]) -> dict[str, list[Event]]:
    """The events of each thing in chain order; a thing without any maps to an empty list."""
    found = await connection.execute(
        """
        SELECT entity, program, name, signature, slot, block_ms, commitment, body FROM chain_events
        WHERE entity = ANY(%s) ORDER BY entity, slot, position, instruction, inner_index
        """,
        (list(entities),),
    )
    result: dict[str, list[Event]] = {entity: [] for entity in entities}
    for row in await found.fetchall():
        event = events.from_json(row["program"], row["name"], row["body"])
        result[row["entity"]].append(
            Event(row["program"], row["name"], row["signature"], row["slot"], row["block_ms"], row["commitment"], event)
        )
    return result
