"""Messages that were decided in a database transaction and wait for the broker, and the epochs that make them."""

from collections.abc import Sequence
from typing import NamedTuple

from m0common.messages import FinalizedEpoch, FinalizedPrediction
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
               array(SELECT s.signer FROM epoch_signers s WHERE s.catalog = e.catalog AND s.epoch_id = e.epoch_id
                     AND s.bundle_hash = e.bundle_hash ORDER BY s.signer) AS signers,
               coalesce(e.finalize_signature, '') AS finalize_signature, e.finalized_slot AS slot,
               coalesce(e.finalized_ms, e.window_end_ms) AS at_ms,
               EXISTS (SELECT FROM bundles b WHERE b.bundle_hash = e.bundle_hash) AS bundled
        FROM epochs e WHERE e.settled AND NOT e.published ORDER BY e.catalog, e.epoch_id
        """
    )
    rows = await found.fetchall()
    return [FinalEpoch(FinalizedEpoch(**{k: v for k, v in r.items() if k != "bundled"}), r["bundled"]) for r in rows]


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
