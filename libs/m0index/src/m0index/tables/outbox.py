"""Messages that were decided in a database transaction and wait for the broker, and the epochs that make them."""

from collections.abc import Sequence
from typing import NamedTuple

from m0common.messages import EpochMember, FinalizedEpoch, FinalizedPrediction
from m0common.store.postgres import Connection


class Waiting(NamedTuple):
    """A message in the outbox; `routing` decides its partition (a catalog, or empty for topics with one)."""

    id: int
    topic: str
    routing: str
    key: bytes
    value: bytes


class FinalEpoch(NamedTuple):
    """A final epoch that was not announced; `bundled` says whether its bundle is stored."""

    message: FinalizedEpoch
    bundled: bool


async def put(connection: Connection, messages: Sequence[tuple[str, str, bytes, bytes]], now_ms: int) -> None:
    """Append `(topic, routing, key, value)` in order."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO outbox (topic, routing, key, value, created_ms) VALUES (%s, %s, %s, %s, %s)",
            [(*message, now_ms) for message in messages],
        )


async def oldest(connection: Connection, limit: int) -> list[Waiting]:
    """The oldest messages, in order."""
    found = await connection.execute("SELECT id, topic, routing, key, value FROM outbox ORDER BY id LIMIT %s", (limit,))
    return [Waiting(**row) for row in await found.fetchall()]


async def sent(connection: Connection, up_to: int) -> None:
    """Remove messages that the broker has acknowledged."""
    await connection.execute("DELETE FROM outbox WHERE id <= %s", (up_to,))


async def size(connection: Connection) -> int:
    """How many messages wait."""
    row = await (await connection.execute("SELECT count(*) AS n FROM outbox")).fetchone()
    assert row is not None
    return int(row["n"])


async def unannounced(connection: Connection) -> list[FinalEpoch]:
    """Final epochs that were not announced, by catalog in epoch order."""
    found = await connection.execute(
        """
        SELECT e.catalog, e.epoch_id, e.window_start_ms, e.window_end_ms, e.leaf_count, e.merkle_root, e.bundle_hash,
               e.prev_bundle_hash, e.signer_set_id, e.commit_deadline_ms, e.reveal_deadline_ms,
               coalesce(e.finalize_signature, '') AS finalize_signature, e.finalized_slot AS slot,
               coalesce(e.finalized_ms, e.window_end_ms) AS at_ms,
               EXISTS (SELECT FROM bundles b WHERE b.bundle_hash = e.bundle_hash) AS bundled
        FROM epochs e WHERE e.settled AND NOT e.published ORDER BY e.catalog, e.epoch_id
        """
    )
    rows = await found.fetchall()
    announced = []
    for row in rows:
        bundled = row.pop("bundled")
        signers = await _members(connection, row["catalog"], row["epoch_id"])
        announced.append(FinalEpoch(FinalizedEpoch(signers=signers, **row), bundled))
    return announced


async def _members(connection: Connection, catalog: str, epoch_id: int) -> tuple[EpochMember, ...]:
    found = await connection.execute(
        """
        SELECT signer, committed, revealed, bundle_hash FROM epoch_signers
        WHERE catalog = %s AND epoch_id = %s ORDER BY signer
        """,
        (catalog, epoch_id),
    )
    return tuple(EpochMember(**row) for row in await found.fetchall())


async def predictions(connection: Connection, bundle_hash: bytes) -> list[FinalizedPrediction]:
    """The leaves of a bundle in tree order."""
    found = await connection.execute(
        """
        SELECT market_id, catalog, epoch_id, bundle_hash, leaf_index, leaf, model FROM leaves
        WHERE bundle_hash = %s ORDER BY leaf_index
        """,
        (bundle_hash,),
    )
    return [FinalizedPrediction(**row) for row in await found.fetchall()]


async def mark_announced(connection: Connection, catalog: str, epoch_id: int) -> None:
    """The epoch's messages are in the outbox."""
    await connection.execute(
        "UPDATE epochs SET published = true WHERE catalog = %s AND epoch_id = %s", (catalog, epoch_id)
    )
