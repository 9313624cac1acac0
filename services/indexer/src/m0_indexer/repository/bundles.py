"""Bundles and their leaves, by content."""

from m0common.canonical import leaf_hash
from m0common.store.postgres import Connection
from psycopg.types.json import Jsonb

from m0_indexer.bundles import Bundle


async def store(connection: Connection, bundle: Bundle, now_ms: int) -> bool:
    """Store a checked bundle; False when it is there already."""
    header, message = bundle.header, bundle.message
    added = await connection.execute(
        """
        INSERT INTO bundles (bundle_hash, catalog, epoch_id, header, merkle_root, prev_bundle_hash, leaf_count,
                             window_start_ms, window_end_ms, input_digests, state_digests, stored_ms)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (bundle_hash) DO NOTHING RETURNING true
        """,
        (
            header.bundle_hash,
            header.catalog,
            header.epoch_id,
            message.header,
            header.merkle_root,
            header.prev_bundle_hash,
            header.leaf_count,
            header.window_start_ms,
            header.window_end_ms,
            Jsonb([[partition, digest.hex()] for partition, digest in message.input_digests]),
            Jsonb([[partition, stage, digest.hex()] for partition, stage, digest in message.state_digests]),
            now_ms,
        ),
    )
    if await added.fetchone() is None:
        return False
    rows = zip(message.market_ids, message.leaves, message.models, strict=True)
    async with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY leaves (bundle_hash, leaf_index, market_id, epoch_id, catalog, leaf, leaf_hash, model) FROM STDIN"
        ) as copy,
    ):
        for index, (market_id, leaf, model) in enumerate(rows):
            await copy.write_row(
                (
                    header.bundle_hash,
                    index,
                    market_id,
                    header.epoch_id,
                    header.catalog,
                    leaf,
                    leaf_hash(leaf),
                    model,
                )
            )
    return True
