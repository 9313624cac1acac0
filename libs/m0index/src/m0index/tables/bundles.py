"""Bundles and their leaves, by content."""

from m0common.store.postgres import Connection
from psycopg.types.json import Jsonb

from m0index.bundles import Bundle


async def is_stored(connection: Connection, bundle_hash: bytes) -> bool:
    """Whether the bundle is there."""
    found = await connection.execute("SELECT 1 FROM bundles WHERE bundle_hash = %s", (bundle_hash,))
    return await found.fetchone() is not None


async def store(connection: Connection, bundle: Bundle, now_ms: int) -> None:
    """Store a checked bundle that is not there yet."""
    header, lanes = bundle.header.header, bundle.header.message.lanes
    await connection.execute(
        """
        INSERT INTO bundles (bundle_hash, catalog, epoch_id, header, merkle_root, prev_bundle_hash, leaf_count,
                             window_start_ms, window_end_ms, input_digests, state_digests, stored_ms)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            header.bundle_hash,
            header.catalog,
            header.epoch_id,
            bundle.header.message.header,
            header.merkle_root,
            header.prev_bundle_hash,
            header.leaf_count,
            header.window_start_ms,
            header.window_end_ms,
            Jsonb([[lane.partition, lane.input_digest.hex()] for lane in lanes]),
            Jsonb(
                [
                    [lane.partition, stage, digest.hex()]
                    for lane in lanes
                    for stage, digest in enumerate(lane.stage_digests, start=1)
                ]
            ),
            now_ms,
        ),
    )
    rows = zip(bundle.market_ids, bundle.leaves, bundle.leaf_hashes, bundle.models, strict=True)
    async with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY leaves (bundle_hash, leaf_index, market_id, epoch_id, catalog, leaf, leaf_hash, model) FROM STDIN"
        ) as copy,
    ):
        for index, (market_id, leaf, leaf_hash, model) in enumerate(rows):
            await copy.write_row(
                (header.bundle_hash, index, market_id, header.epoch_id, header.catalog, leaf, leaf_hash, model)
            )
