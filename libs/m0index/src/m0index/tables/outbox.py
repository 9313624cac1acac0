"""Messages that were decided in a database transaction and wait for the broker, and the epochs that make them."""

from collections.abc import Collection, Mapping, Sequence
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
    """A final epoch that was not published; `bundled` says whether its bundle is stored."""

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


async def unpublished(connection: Connection, limit: int, held: Collection[str]) -> list[FinalEpoch]:
    """Final epochs that were not published, by catalog in epoch order, but of those catalogs."""
    found = await connection.execute(
        """
        SELECT e.catalog, e.epoch_id, e.window_start_ms, e.window_end_ms, e.leaf_count, e.merkle_root, e.bundle_hash,
               coalesce(e.prev_bundle_hash, b.prev_bundle_hash) AS prev_bundle_hash, e.signer_set_id,
               e.commit_deadline_ms, e.reveal_deadline_ms, coalesce(e.finalize_signature, '') AS finalize_signature,
               e.finalized_slot AS slot, coalesce(e.finalized_ms, e.window_end_ms) AS at_ms,
               b.bundle_hash IS NOT NULL AS bundled
        FROM epochs e LEFT JOIN bundles b ON b.bundle_hash = e.bundle_hash
        WHERE e.settled AND NOT e.published AND e.catalog <> ALL(%s)
        ORDER BY e.catalog, e.epoch_id LIMIT %s
        """,
        (sorted(held), limit),
    )
    rows = await found.fetchall()
    members = await _members(connection, [(row["catalog"], row["epoch_id"]) for row in rows])
    return [
        FinalEpoch(FinalizedEpoch(signers=tuple(members[row["catalog"], row["epoch_id"]]), **row), bundled)
        for row in rows
        for bundled in [row.pop("bundled")]
    ]


async def waiting(connection: Connection) -> int:
    """How many final epochs were not published."""
    row = await (
        await connection.execute("SELECT count(*) AS n FROM epochs WHERE settled AND NOT published")
    ).fetchone()
    assert row is not None
    return int(row["n"])


async def _members(
    connection: Connection, epochs: Sequence[tuple[str, int]]
) -> Mapping[tuple[str, int], list[EpochMember]]:
    found = await connection.execute(
        """
        SELECT catalog, epoch_id, signer, committed, revealed, bundle_hash
        FROM epoch_signers JOIN unnest(%s::text[], %s::bigint[]) AS wanted (catalog, epoch_id) USING (catalog, epoch_id)
        ORDER BY signer
        """,
        ([catalog for catalog, _ in epochs], [epoch_id for _, epoch_id in epochs]),
    )
    members: dict[tuple[str, int], list[EpochMember]] = {epoch: [] for epoch in epochs}
    for row in await found.fetchall():
        of = row.pop("catalog"), row.pop("epoch_id")
        members[of].append(EpochMember(**row))
    return members


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


async def mark_published(connection: Connection, catalog: str, epoch_id: int) -> None:
    """The epoch's messages are in the outbox."""
    await connection.execute(
        "UPDATE epochs SET published = true WHERE catalog = %s AND epoch_id = %s", (catalog, epoch_id)
    )
